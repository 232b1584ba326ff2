"""The next frame of a video: its logits go on as they went, and with what a reader sees move.

From one frame to the next, the logits at a slot change by a share of what they changed before, and by a share
of the reading's change. Both shares are learned by least squares as the frames go by: of a face that moves
smoothly the first one is large, of one that jumps it is 0, and where the noise of the camera moves the logits
to and fro it is negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from aullava.decoding.slots import SlotTable
from aullava.text.grammar import Role

STANDING: Final = 0.1
"""Squared logits of imagined frames whose changes led to none: where nothing is known, the answer stays."""
STEPS: Final[dict[Role, float]] = {"value": 1.0, "units": 1.0, "tenths": 10.0, "hundredths": 0.0}
"""Steps of a digit in a reading's change of 1; it is too rough to say anything about hundredths."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of one video that follow each other, as one question saw them.

    Attributes:
        choices: [n, S], the answers.
        scores: [n, S, C], the logits that decided them; 0 where there is no choice.
        readings: [n, A], amounts and log-odds of presence; 0 where nothing reads them.
    """

    choices: Tensor
    scores: Tensor
    readings: Tensor

    def followed_by(self, after: Frames) -> Frames:
        """These and the next ones."""
        return Frames(
            torch.cat([self.choices, after.choices]),
            torch.cat([self.scores, after.scores]),
            torch.cat([self.readings, after.readings]),
        )

    def last(self, count: int) -> Frames:
        """The last few."""
        return Frames(self.choices[-count:], self.scores[-count:], self.readings[-count:])


class Motion:
    """How the logits of one question's slots move from frame to frame, in whatever video.

    Args:
        table: the slots.
    """

    def __init__(self, table: SlotTable) -> None:
        self.table = table
        device = table.ids.device
        column = {au: place for place, au in enumerate(table.grammar.aus)}
        self._column = torch.tensor([column[step.slot.au] for step in table.steps], device=device)
        steps = torch.tensor([STEPS[step.slot.role] for step in table.steps], device=device)
        self._leaning = torch.arange(table.ids.shape[1], device=device) * steps[:, None]
        self._causes = STANDING * torch.eye(2, device=device).repeat(len(table.steps), 1, 1)
        self._effects = torch.zeros(len(table.steps), 2, device=device)

    def ahead(self, frames: Frames, readings: Tensor) -> Tensor:
        """The logits [B, S, C] to be expected of the next frames.

        Args:
            frames: the last one or two.
            readings: [B, A] of the next ones.
        """
        last = frames.scores[-1:]
        before = torch.zeros_like(last)
        if len(frames.scores) > 1:
            before = frames.scores.diff(dim=0) * self._comparable(frames.choices)[:, :, None]
        causes = self._both(before.expand(len(readings), -1, -1), readings - frames.readings[-1:])
        shares: Tensor = torch.linalg.solve(self._causes, self._effects)
        return last + (causes * shares[:, None]).sum(dim=-1)

    def learn(self, frames: Frames) -> None:
        """See how frames that follow each other have moved; fewer than three teach nothing."""
        changes, comparable = frames.scores.diff(dim=0), self._comparable(frames.choices)
        counted = (comparable[1:] & comparable[:-1])[:, :, None, None]
        causes = self._both(changes[:-1], frames.readings.diff(dim=0)[1:])
        causes = self._about_their_mean(causes) * counted
        effects = self._about_their_mean(changes[1:, ..., None]) * counted
        self._causes += torch.einsum("nsci,nscj->sij", causes, causes)
        self._effects += (causes * effects).sum(dim=(0, 2))

    def _both(self, before: Tensor, readings: Tensor) -> Tensor:
        """What moves logits [n, S, C, 2]: their change before [n, S, C], and that of readings [n, A]."""
        return torch.stack([before, readings[:, self._column, None] * self._leaning], dim=-1)

    def _comparable(self, choices: Tensor) -> Tensor:
        """[n - 1, S]: whether the digits before a slot's are the same in one frame [n, S] and the next."""
        table = self.table
        same = (choices[1:] == choices[:-1])[:, table.before] | table.is_first
        return same & same[:, table.before]

    def _about_their_mean(self, values: Tensor) -> Tensor:
        """[n, S, C, k] without what all choices of a slot share, which decides nothing."""
        is_open = self.table.is_open[..., None]
        mean = (values * is_open).sum(dim=2, keepdim=True) / is_open.sum(dim=1, keepdim=True)
        return (values - mean) * is_open
