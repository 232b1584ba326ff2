"""Where drafts come from, best first: the frames before, a reading of the features, the commonest answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aullava.decoding.habits import Habits
from aullava.decoding.motion import Frames, Motion
from aullava.decoding.slots import SlotTable
from aullava.text.answer import Scale

Values = npt.NDArray[np.float32]

SURE: Final = 1e-6
"""Probabilities of presence nearer to 0 or 1 move no further."""


class Reader(Protocol):
    """Something cheap that guesses answers from the encoder's features, such as a linear probe."""

    def guess(self, features: Tensor, aus: Sequence[str], scale: Scale) -> Values | None:
        """Values float32 [B, A] on the scale for features [B, N, D]; None if it knows no such question.

        They need not be rounded: of presence it may be the probability.
        """
        ...


@dataclass(frozen=True, slots=True)
class Doubt:
    """A digit that may turn out otherwise than drafted, and then takes the one behind it with it.

    Attributes:
        slot: of the digit; the slot behind it belongs to the same value.
        choices: [B] int64, what else it may be.
    """

    slot: int
    choices: Tensor


@dataclass(frozen=True, slots=True)
class Draft:
    """Answers to begin with.

    Attributes:
        choices: [B, S] int64.
        doubt: the most doubtful digit among those before the last one of their value; None: nothing is known.
    """

    choices: Tensor
    doubt: Doubt | None = None


class Drafts:
    """Drafts the answers to one question, and learns from what they turn out to be.

    Args:
        table: the slots.

    Attributes:
        habits: the commonest answers.
    """

    def __init__(self, table: SlotTable) -> None:
        self.table = table
        self.habits = Habits(table)
        self._motion = Motion(table)
        last = torch.ones_like(table.is_first).index_fill_(0, table.before[~table.is_first], False)
        self._followed = table.before[last & ~table.is_first]
        self._video: str | None = None
        self._frames: Frames | None = None

    def begin(self, rows: int, guess: Values | None, video: str | None) -> Draft:
        """A draft for B faces.

        Args:
            rows: B.
            guess: [B, A] of a reader; None: there is none.
            video: whose next frames the faces are; None: they are pictures.
        """
        if video is not None and video == self._video and self._frames is not None:
            kept = self._frames.choices[-1:].expand(rows, -1)
            scores = self._motion.ahead(self._frames, self._readings(guess, rows))
            scores = scores.masked_fill(~self.table.is_open, -torch.inf)
            choices = self.table.chosen(scores, (0, len(self.table.steps)), kept)
            choices = self.habits.follow(choices, kept)
            return Draft(choices, self._doubt(scores, choices))
        self.habits.turn_away()
        return Draft(self.habits.draft(rows) if guess is None else self.table.choices_of(guess))

    def learn(self, choices: Tensor, scores: Tensor, guess: Values | None, video: str | None) -> None:
        """Take note of the answers [B, S], and of the logits [B, S, C] that decided them."""
        self.habits.learn(choices, frames=video is not None)
        if video is None:
            return
        scores = scores.masked_fill(~self.table.is_open, 0)
        frames = Frames(choices, scores, self._readings(guess, len(choices)))
        if video == self._video and self._frames is not None:
            frames = self._frames.followed_by(frames)
            self._motion.learn(frames)
        self._video, self._frames = video, frames.last(2)

    def forget(self) -> None:
        """Begin all videos anew: the weights have changed."""
        self._frames = None

    def _doubt(self, scores: Tensor, choices: Tensor) -> Doubt | None:
        """Where some row's drafted digit [B, S] is nearest to another, by the logits expected [B, S, C]."""
        if not len(self._followed):
            return None
        drafted = choices[:, :, None]
        others = scores.scatter(2, drafted, -torch.inf).max(dim=2)
        margins = scores.gather(2, drafted)[:, :, 0] - others.values
        # A digit that is not the likeliest hangs on the one before it, and so does the 0 in "1.00".
        decided = (margins < 0) | self.table.bound(choices)
        margins = margins.masked_fill(decided, torch.inf)[:, self._followed].amin(dim=0)
        if bool(margins.isinf().all()):
            return None
        slot = int(self._followed[margins.argmin()])
        return Doubt(slot, others.indices[:, slot])

    def _readings(self, guess: Values | None, rows: int) -> Tensor:
        """What moves as logits do, [B, A]: log-odds of presence, or amounts; 0 without a guess."""
        device = self.table.ids.device
        if guess is None:
            return torch.zeros(rows, len(self.table.grammar.aus), device=device)
        values = torch.from_numpy(guess).to(device)
        return values.logit(SURE) if self.table.grammar.scale is Scale.PRESENCE else values
