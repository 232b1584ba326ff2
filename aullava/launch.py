"""Starts the processes of a job on this machine, and ends all of them when one is lost.

A verb whose config asks for several devices is started once more for each of them, with the variables that
torchrun would set. The process that the user started trains nothing: it hands on signals, says once what went
wrong, and gives the exit code. On several machines torchrun or srun do this (docs/scaling_out.md).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from aullava.config.schema import StrategyConfig
from datamodules.cores import usable_cores

NOTES: Final = "AULLAVA_NOTES"
"""Environment variable: the folder in which each process leaves what it wants to be said."""
PARENT: Final = "AULLAVA_PARENT"
"""Environment variable: file descriptor of a pipe that ends when the process that launched is gone."""
THREADS: Final = "OMP_NUM_THREADS"
"""Environment variable: threads of one process. Left alone, each would take as many as there are cores, and
threads that wait for each other on shared cores can take many times as long as one."""
FORWARDED: Final = (signal.SIGTERM, signal.SIGUSR1)
EXIT_PREEMPTED: Final = 143
GRACE: Final = 5.0
"""Seconds that the others get to say what they know after one has failed."""
SAVING: Final = 60.0
"""Seconds that the others get after one has saved and stopped: they all do."""


def needed(strategy: StrategyConfig) -> bool:
    """Whether processes must be started here: several devices, and nobody has started them yet."""
    by_srun = "SLURM_STEP_ID" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1
    by_others = "RANK" in os.environ or by_srun
    return strategy.nodes == 1 and strategy.devices > 1 and not by_others


def run_processes(count: int, words: Sequence[str]) -> int:
    """Run a command line in `count` processes.

    Args:
        count: how many.
        words: behind `aullava`.

    Returns:
        The exit code of all of them: that of the first one that failed; 1 if a signal ended it.
    """
    _warn_of_crowding(count)
    alive, mine = os.pipe()
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="aullava-") as notes:
        places = [_environment(rank, count, port, notes, alive) for rank in range(count)]
        processes = [subprocess.Popen(_command(words), env=place, pass_fds=[alive]) for place in places]

        def forward(number: int, frame: FrameType | None) -> None:
            del frame
            for process in processes:
                process.send_signal(number)

        before = {number: signal.signal(number, forward) for number in FORWARDED}
        try:
            return _outcome(_codes(processes), Path(notes))
        finally:
            for process in processes:
                process.kill()
                process.wait()
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(alive)
            os.close(mine)


def _warn_of_crowding(count: int) -> None:
    """Say so if the user has asked for more threads in all than there are cores.

    On two cores, two processes of two threads each took 70 times as long to train as two of one.
    """
    asked, cores = os.environ.get(THREADS, ""), usable_cores()
    if asked.isdecimal() and int(asked) * count > max(cores, count):
        said = f"{THREADS}={asked} in each of {count} processes is more than the {cores} cores here"
        print(f"aullava: {said}, which can take many times as long: unset it", file=sys.stderr)


def _codes(processes: Sequence[subprocess.Popen[bytes]]) -> list[int | None]:
    """Wait for all, or, once one has failed, a little longer; None for those that still ran then."""
    until = float("inf")
    while time.monotonic() < until:
        codes = [process.poll() for process in processes]
        if None not in codes:
            break
        failed = [code for code in codes if code]
        if failed and until == float("inf"):
            until = time.monotonic() + (SAVING if failed[0] == EXIT_PREEMPTED else GRACE)
        time.sleep(0.05)
    return codes


def _outcome(codes: Sequence[int | None], notes: Path) -> int:
    """Say what went wrong first, once; the exit code of the job.

    Whoever loses a partner fails too, with an error of its own, or aborts: what happened is the one that a
    signal ended, else the earliest note.
    """
    if not any(codes):
        return 0
    left = [json.loads(file.read_text(encoding="utf-8")) for file in notes.glob("*.json")]
    first = min(left, key=lambda note: float(note["time"]), default=None)
    by_signal = {rank: signal.Signals(-code).name for rank, code in enumerate(codes) if code and code < 0}
    lost = {rank: name for rank, name in by_signal.items() if first is None or name != "SIGABRT"}
    if EXIT_PREEMPTED not in codes and lost and "SIGTERM" not in lost.values():
        rank, name = next(iter(lost.items()))
        memory = " (was there enough memory?)" if name == "SIGKILL" else ""
        said = f"process {rank} of {len(codes)} was ended by {name}{memory}, so the others were ended too"
        print(f"aullava: {said}; a fit goes on with `aullava resume RUN`", file=sys.stderr)
        return 1
    for note in sorted(left, key=lambda note: float(note["time"])):
        if note is first or note["always"]:
            print(note["text"].rstrip("\n"), file=sys.stderr)
    if EXIT_PREEMPTED in codes or lost:
        return EXIT_PREEMPTED
    return (codes[first["rank"]] if first is not None else None) or next(code for code in codes if code)


def say_at_last(text: str) -> None:
    """Say why this process ends now; of several that do, each is heard."""
    if not leave_note(text, always=True):
        print(text, file=sys.stderr, flush=True)


def leave_note(text: str, always: bool = False) -> bool:
    """Leave a sentence to the process that launched this one; false if there is none.

    Args:
        text: said if this was the first thing that went wrong.
        always: say it also if it was not.
    """
    folder = os.environ.get(NOTES)
    if folder is None:
        return False
    draft = Path(folder) / f"{os.environ['RANK']}.tmp"
    note = {"time": time.time(), "rank": int(os.environ["RANK"]), "text": text, "always": always}
    draft.write_text(json.dumps(note), encoding="utf-8")
    draft.replace(draft.with_suffix(".json"))
    return True


def end_with_parent() -> None:
    """End this process when the one that launched it is gone, however that ended."""
    pipe = os.environ.get(PARENT)
    if pipe is not None:
        threading.Thread(target=_wait_for_end, args=(int(pipe),), daemon=True).start()


def _wait_for_end(pipe: int) -> None:
    os.read(pipe, 1)  # nobody writes: it returns when the last writer is gone
    os.kill(os.getpid(), signal.SIGKILL)


def _command(words: Sequence[str]) -> list[str]:
    """The command of each process: as this one was started, if it was started for these words."""
    if sys.argv[-len(words) :] == list(words):
        return [sys.executable, *sys.orig_argv[1:]]
    return [sys.executable, "-m", "aullava", *words]


def _environment(rank: int, count: int, port: int, notes: str, alive: int) -> dict[str, str]:
    """What the process of one rank finds; of the cores its share, unless the user has said otherwise."""
    threads = {THREADS: max(1, usable_cores() // count)}
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, NOTES: notes, PARENT: alive}
    place = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": count, **where}
    found = {**threads, **os.environ, **place}
    return {key: str(value) for key, value in found.items()}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
