"""Where drafts come from, best first: an answer of the frame before, a reading of the features, the prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aullava.decoding.slots import SlotTable
from aullava.text.answer import Scale

Values = npt.NDArray[np.float32]


class Reader(Protocol):
    """Something cheap that guesses answers from the encoder's features, such as a linear probe."""

    def guess(self, features: Tensor, aus: Sequence[str], scale: Scale) -> Values | None:
        """Values float32 [B, A] on the scale for features [B, N, D]; None if it knows no such question."""
        ...


class Prior:
    """The commonest choice of each slot among the answers so far; 0 before the first.

    Args:
        table: the slots of one question.
    """

    def __init__(self, table: SlotTable) -> None:
        slots, choices = table.ids.shape
        self._counts = torch.zeros(slots, choices, device=table.ids.device)

    def draft(self, rows: int) -> Tensor:
        """Choices [B, S], the same in every row."""
        return self._counts.argmax(dim=1).repeat(rows, 1)

    def learn(self, choices: Tensor) -> None:
        """Count final answers [B, S]."""
        ones = torch.ones_like(choices.T, dtype=self._counts.dtype)
        self._counts.scatter_add_(1, choices.T, ones)
