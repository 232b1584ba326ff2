"""The commonest answers so far: a draft where nothing better is known; of a video also the last ones."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from aullava.decoding.slots import SlotTable

OTHERS: Final = 1e-3
"""What an answer about another Action Unit counts: it decides where nothing was seen of this one."""
LATELY: Final = 1e6
"""What the last answer of a video counts: a face goes on as it went, so it decides."""


class Habits:
    """The commonest choice of each slot, behind each choice of the digit before in the same value.

    Args:
        table: the slots of one question.
    """

    def __init__(self, table: SlotTable) -> None:
        self.table = table
        slots, choices = table.ids.shape
        self._counts = torch.zeros(slots, choices, choices, device=table.ids.device)
        self._lately = torch.zeros_like(self._counts)  # 1: the last ones
        self._slots = torch.arange(slots, device=table.ids.device)
        roles = [step.slot.role for step in table.steps]
        self._digits = len(set(roles))  # of a value
        self._role = torch.tensor([roles.index(role) for role in roles], device=table.ids.device)

    def draft(self, rows: int) -> Tensor:
        """Choices [B, S], the same in every row; 0 where nothing was seen."""
        first = self._counts[:, 0].argmax(dim=1).where(self.table.is_first, torch.zeros_like(self._slots))
        return self.follow(first[None], torch.full_like(first, -1)[None]).repeat(rows, 1)

    def follow(self, choices: Tensor, old: Tensor) -> Tensor:
        """Put behind every digit that is new what stood behind such a digit before.

        Args:
            choices: [B, S].
            old: [B, S], what they were.
        """
        if self._digits == 1 or torch.equal(choices, old):
            return choices
        table = self.table
        of_role = torch.zeros_like(self._counts).index_add_(0, self._role, self._counts)[self._role]
        commonest = self._counts + OTHERS * of_role + LATELY * self._lately
        for _ in range(self._digits - 1):
            counts = commonest[self._slots, choices[:, table.before]]
            moved = (choices != old)[:, table.before] & ~table.is_first & (counts.sum(dim=2) > 0)
            choices = counts.argmax(dim=2).where(moved, choices)
        return choices

    def learn(self, choices: Tensor, frames: bool = False) -> None:
        """Count final answers [B, S].

        Args:
            choices: they.
            frames: whether they are about the last frames of the video that is being watched.
        """
        before = choices[:, self.table.before].masked_fill(self.table.is_first, 0)
        ones = torch.ones_like(choices, dtype=self._counts.dtype)
        self._counts.index_put_((self._slots.expand_as(choices), before, choices), ones, accumulate=True)
        if frames:
            self.note(self._slots.expand_as(choices), before, choices)

    def note(self, slots: Tensor, before: Tensor, choices: Tensor) -> None:
        """See what stands or would stand in `slots` behind `before` in the last frames; all of one shape."""
        self._lately[slots, before] = 0
        self._lately[slots, before, choices] = 1

    def turn_away(self) -> None:
        """Go on to another video, or to pictures: what the last frames said holds no longer."""
        self._lately.zero_()
