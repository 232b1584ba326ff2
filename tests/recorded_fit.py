"""`aullava` in a process of its own that writes down every batch it learned from, for tests that kill it.

Run as ``python -m tests.recorded_fit RECORD VERB ...``: one line per batch, flushed at once. Of several
processes each has a record of its own (`of_rank`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from lightning import Callback, Trainer

from aullava import build, jobs
from aullava.cli import main
from tests.source_tree import REPOSITORY


class Recorder(Callback):
    """Writes the number of the batch in the whole run, its loss to the last bit, and its samples."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("a", encoding="utf-8")

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        number = trainer.fit_loop.epoch_loop.total_batch_idx
        loss = float(outputs["loss"]).hex()
        print(number, loss, *batch.sample_ids, file=self.file, flush=True)


@dataclass(frozen=True)
class Batch:
    """A line of a record."""

    loss: str
    ids: tuple[str, ...]


def of_rank(path: Path, rank: int) -> Path:
    """The record of one of several processes."""
    return path.with_name(f"{path.name}{rank or ''}")


def records(path: Path) -> list[tuple[int, Batch]]:
    """The whole lines of a record, in the order in which they were written."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    words = [line.split() for line in lines if line.endswith("\n")]
    return [(int(number), Batch(loss, tuple(ids))) for number, loss, *ids in words]


def surviving(path: Path) -> list[Batch]:
    """The batches that the final weights have learned from: of those learned twice, the later one."""
    found = dict(records(path))
    assert sorted(found) == list(range(len(found)))
    return [found[number] for number in range(len(found))]


def start(path: Path, *words: str) -> subprocess.Popen[str]:
    """Start a verb in a process group of its own."""
    command = [sys.executable, "-m", "tests.recorded_fit", str(path), *words]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(path: Path, *words: str, code: int = 0) -> str:
    """Run a verb to its end; what it said."""
    process = start(path, *words)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == code, said
    return said


def stop_after(
    path: Path,
    batches: int,
    number: signal.Signals,
    *words: str,
    group: bool = False,
    rank: int | None = None,
) -> str:
    """Run a verb, signal it when the record has so many more lines; what it said.

    Args:
        path: of the record.
        batches: lines that it shall have more.
        number: the signal.
        words: behind `aullava`.
        group: signal all its processes.
        rank: signal the one of this rank, of several that it has started.
    """
    goal = len(records(path)) + batches
    process = start(path, *words)
    while len(records(path)) < goal and process.poll() is None:
        time.sleep(0.002)
    if group:
        os.killpg(process.pid, number)
    else:
        os.kill(process.pid if rank is None else children(process.pid)[rank], number)
    said, _ = process.communicate(timeout=60)  # nothing hangs longer
    killed = 1 if rank is not None else -9
    assert process.returncode == (killed if number == signal.SIGKILL else 143), said
    return said


def children(process: int) -> list[int]:
    """The processes that a process has started, in that order."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="utf-8").split()
    return [int(number) for number in listed]


def run_verb(arguments: Sequence[str]) -> int:
    """Record what a verb learns from."""
    path = of_rank(Path(arguments[0]), int(os.environ.get("RANK", "0")))
    plain = build.training_callbacks

    def recorded(*settings: Any) -> list[Callback]:
        return [Recorder(path), *plain(*settings)]

    with patch.object(jobs, "training_callbacks", recorded):
        return main(arguments[1:])


if __name__ == "__main__":
    sys.exit(run_verb(sys.argv[1:]))
