"""Signals by which a machine is taken back: noticed at once, acted upon between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""What schedulers send some time before they kill: SLURM sends what ``--signal`` names."""


class StopSignals:
    """Notes the first of `SIGNALS` that comes while they are watched.

    A handler runs between any two instructions of the main thread. This one only sets a flag, so that a
    second signal in the middle of a save changes nothing.

    Attributes:
        received: name of the signal, None before there is one.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def watch(self) -> None:
        """Take the signals over; without effect in a thread, which Python lets handle none."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def leave(self) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.received = self.received or signal.Signals(number).name
