"""What is told of loader processes that are gone, and of those that only raise."""

from __future__ import annotations

import os
import signal
from multiprocessing import Pipe

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from aullava.training.errors import RunError
from aullava.training.lost_loader import naming_lost_loaders


class Hostile(Dataset[Tensor]):
    """Ends its process, or raises, at the second sample."""

    def __init__(self, raised: Exception | None = None) -> None:
        self.raised = raised

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Tensor:
        if index == 1:
            if self.raised is not None:
                raise self.raised
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.zeros(1)


def _read(data: Hostile) -> None:
    with naming_lost_loaders("then ask again"):
        list(DataLoader(data, batch_size=1, num_workers=1))


def test_a_killed_loader_is_named() -> None:
    with pytest.raises(RunError, match=r"a loader process was lost \(.+\): .+; then ask again"):
        _read(Hostile())


@pytest.mark.parametrize(
    "raised", [RuntimeError("bad face"), EOFError("bad face"), ConnectionResetError(104)]
)
def test_what_a_loader_raises_is_no_loss(raised: Exception) -> None:
    with pytest.raises(type(raised), match="Caught"):
        _read(Hostile(raised))


def test_one_that_dies_while_it_hands_over_shows_at_its_socket() -> None:
    ours, its = Pipe()
    its.close()
    with (
        pytest.raises(RunError, match=r"a loader process was lost \(it hung up\)"),
        naming_lost_loaders("go on"),
    ):
        ours.recv()


@pytest.mark.parametrize(
    "error", [RuntimeError("out of memory"), BrokenPipeError(32, "Broken pipe"), EOFError()]
)
def test_everything_else_speaks_for_itself(error: Exception) -> None:
    """Such as a terminal that went away (`aullava fit ... | head`), or a file that ends too soon."""
    with pytest.raises(type(error)) as caught, naming_lost_loaders("go on"):
        raise error
    assert caught.value is error
