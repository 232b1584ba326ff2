"""Verbs in processes of their own, for folds that run apart: signals are handed on, nobody is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import FrameType
from typing import Any, Final, Self

from aullava.evaluation.errors import ResultError
from aullava.launch import EXIT_PREEMPTED, PARENT
from aullava.training.errors import PreemptedError
from aullava.training.stop_signals import SIGNALS

HANDED_ON: Final = (*SIGNALS, signal.SIGINT)


class FoldProcesses:
    """Runs verbs, from several threads at a time if need be; a context, in which signals go to all of them.

    The processes have a session of their own: Ctrl-C in a terminal reaches them once, through here. When this
    process is gone, however that ended, they end too (`aullava.launch.end_with_parent`).

    Attributes:
        received: the first signal, None before there is one; no verb begins after it.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._running: set[subprocess.Popen[bytes]] = set()
        self._before: dict[signal.Signals, Any] = {}
        self._alive = self._mine = -1

    def __enter__(self) -> Self:
        self._alive, self._mine = os.pipe()
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hand_on) for number in HANDED_ON}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._alive)
        os.close(self._mine)  # whoever still runs ends with this

    def run(self, *words: str, gpu: str | None = None) -> None:
        """Run a verb to its end.

        Args:
            words: of the command line.
            gpu: the only one that it sees; None: those that this process sees.

        Raises:
            KeyboardInterrupt: it was interrupted.
            PreemptedError: a signal has stopped it; all is saved.
            ResultError: it failed; it has said why.
        """
        self.refuse_to_begin()
        place = {PARENT: str(self._alive)} | ({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})
        command = [sys.executable, "-m", "aullava", *words]
        process = subprocess.Popen(
            command, env=os.environ | place, pass_fds=[self._alive], start_new_session=True
        )
        self._running.add(process)
        if self.received is not None:  # it came between the two
            process.send_signal(self.received)
        code = process.wait()
        self._running.discard(process)
        if code:
            self.refuse_to_begin()
            raise failed(words, code)

    def refuse_to_begin(self) -> None:
        """Do nothing more, if this process was told to stop.

        Raises:
            KeyboardInterrupt, PreemptedError: as `run`.
        """
        if self.received is signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is not None:
            raise PreemptedError(
                f"stopped by {self.received.name}: what the folds have learned is saved, the same words go on"
            )

    def _hand_on(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.received = self.received or signal.Signals(number)
        for process in tuple(self._running):
            process.send_signal(number)


def failed(words: tuple[str, ...], code: int) -> Exception:
    """What a verb ended with that nobody here has stopped."""
    said = f"`aullava {' '.join(words[:2])}`"
    if code in (EXIT_PREEMPTED, *(-number for number in SIGNALS)):
        return PreemptedError(f"{said} was stopped by a signal: the same words go on where it was")
    return ResultError(f"{said} ended with exit code {code}: see what it said above")
