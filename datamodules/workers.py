"""What loader processes do differently from the process that trains."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Final

import torch
import torch.distributed as dist

GRACE: Final = 60
"""Seconds that a loader process stays after a SIGTERM: a step and its checkpoint take less."""


def own_generator(seed: int) -> torch.Generator:
    """A random generator for a loader alone.

    Without one, every loader that starts takes a number from the generator that also draws the dropout: a run
    with one more validation would learn something else.
    """
    return torch.Generator().manual_seed(seed)


def leave_signals_to_the_trainer(worker: int) -> None:
    """Let the process that trains decide what a signal to all processes of a job means.

    A scheduler that takes a machine back signals every process. Loader processes that died of it would break
    the step that is being finished. They outlive a SIGTERM by `GRACE` seconds and not for ever: Python itself
    ends forgotten children by SIGTERM when it exits, and waits for them.

    Args:
        worker: number of the loader process, as `torch.utils.data.DataLoader` gives it.
    """
    del worker
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, _stay_a_while)


def of_all_processes(rows: list[int]) -> list[int]:
    """The numbers that any of the training processes brings, sorted; all of them must call this."""
    if not (dist.is_available() and dist.is_initialized()):
        return rows
    brought: list[list[int]] = [[]] * dist.get_world_size()
    dist.all_gather_object(brought, rows)
    return sorted({row for one in brought for row in one})


def _stay_a_while(number: int, frame: FrameType | None) -> None:
    """Be ended by the alarm later."""
    del number, frame
    signal.alarm(GRACE)
