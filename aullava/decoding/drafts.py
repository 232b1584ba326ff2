"""Where drafts come from, best first: the frames before, a reading of the features, the commonest answers."""

from __future__ import annotations

from collections.abc import Sequence
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
        self._video: str | None = None
        self._frames: Frames | None = None

    def begin(self, rows: int, guess: Values | None, video: str | None) -> Tensor:
        """Choices [B, S] for B faces.

        Args:
            rows: B.
            guess: [B, A] of a reader; None: there is none.
            video: whose next frames the faces are; None: they are pictures.
        """
        if video is not None and video == self._video and self._frames is not None:
            kept = self._frames.choices[-1:].expand(rows, -1)
            scores = self._motion.ahead(self._frames, self._readings(guess, rows))
            scores = scores.masked_fill(~self.table.is_open, -torch.inf)
            return self.habits.follow(self.table.chosen(scores, (0, len(self.table.steps)), kept), kept)
        return self.habits.draft(rows) if guess is None else self.table.choices_of(guess)

    def learn(self, choices: Tensor, scores: Tensor, guess: Values | None, video: str | None) -> None:
        """Take note of the answers [B, S], and of the logits [B, S, C] that decided them."""
        self.habits.learn(choices)
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

    def _readings(self, guess: Values | None, rows: int) -> Tensor:
        """What moves as logits do, [B, A]: log-odds of presence, or amounts; 0 without a guess."""
        device = self.table.ids.device
        if guess is None:
            return torch.zeros(rows, len(self.table.grammar.aus), device=device)
        values = torch.from_numpy(guess).to(device)
        return values.logit(SURE) if self.table.grammar.scale is Scale.PRESENCE else values
