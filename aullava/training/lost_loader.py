"""A loader process that is gone, in one sentence."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from aullava.training.errors import RunError


@contextmanager
def naming_lost_loaders(advice: str) -> Iterator[None]:
    """Around what reads batches.

    Args:
        advice: what to do then, a clause.

    Raises:
        RunError: a loader process is gone; whatever else goes wrong says so itself.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        if not _tells_of_a_lost_loader(error):
            raise
        reason = str(error).strip().rstrip(".") or "it hung up"
        raise RunError(
            f"a loader process was lost ({reason}): if memory ran out, lower data.num_workers; {advice}"
        ) from None


def _tells_of_a_lost_loader(error: Exception) -> bool:
    """Whether a loader process is gone; PyTorch has no type of its own for it.

    Tensors are handed over through a socket of the loader process. One that dies just then shows there first:
    PyTorch looks whether it lives, and for a moment it still seems to (`_try_get_data` in
    torch/utils/data/dataloader.py). What a loader process raises itself comes as "Caught ... in DataLoader
    worker process ..." and is no loss.
    """
    if isinstance(error, RuntimeError):
        return "DataLoader worker (pid" in str(error)
    frames = traceback.walk_tb(error.__traceback__)
    names = {str(frame.f_globals.get("__name__")) for frame, _ in frames}
    return "multiprocessing.connection" in names
