"""What loader processes do differently from the process that trains."""

from __future__ import annotations

import signal

import torch


def own_generator(seed: int) -> torch.Generator:
    """A random generator for a loader alone.

    Without one, every loader that starts takes a number from the generator that also draws the dropout: a run
    with one more validation would learn something else.
    """
    return torch.Generator().manual_seed(seed)


def leave_signals_to_the_trainer(worker: int) -> None:
    """Let the process that trains decide what a signal to all processes of a job means.

    A scheduler that takes a machine back signals every process. Loader processes that died of it would break
    the step that is being finished; they end with the process that trains.

    Args:
        worker: number of the loader process, as `torch.utils.data.DataLoader` gives it.
    """
    del worker
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
