"""The slots of a grammar as tensors, so that all slots of a batch of answers are decided at once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aullava.decoding.decisions import Decision
from aullava.text.answer import Scale
from aullava.text.grammar import WORTH
from aullava.text.tokens import FixedToken, SlotToken, TokenGrammar


class SlotTable:
    """S slots with at most C choices each, in an answer of L tokens.

    A choice is told by its number among the choices of its slot, which is the digit that it writes.

    Args:
        grammar: of one question.
        device: where the tensors are.

    Attributes:
        steps: the slots, in order.
        positions: the position of each slot in the answer.
        columns: [U] int64, every id that stands in some slot.
        is_open: [S, C] bool, what is a choice of each slot.
        is_first: [S] bool, the first digits of values.
        before: [S] int64, the slot of the digit before in the same value; of the first one it is itself.
    """

    def __init__(self, grammar: TokenGrammar, device: torch.device | str = "cpu") -> None:
        self.grammar = grammar
        self.steps = tuple(step for step in grammar.steps if isinstance(step, SlotToken))
        self.positions = tuple(step.position for step in self.steps)
        count = max(len(step.ids) for step in self.steps)
        ids = [step.ids + step.ids[:1] * (count - len(step.ids)) for step in self.steps]
        self.ids = torch.tensor(ids, device=device)
        self.columns = torch.tensor(sorted({one for step in self.steps for one in step.ids}), device=device)
        self._column_of = torch.searchsorted(self.columns, self.ids)
        sizes = torch.tensor([len(step.ids) for step in self.steps], device=device)
        self.is_open = torch.arange(count, device=device) < sizes[:, None]
        before: list[int] = []
        last: dict[str, int] = {}
        for place, step in enumerate(self.steps):
            before.append(last.get(step.slot.au, place))
            last[step.slot.au] = place
        self.before = torch.tensor(before, device=device)
        self.is_first = self.before == torch.arange(len(before), device=device)
        number = {step.position: place for place, step in enumerate(self.steps)}
        fixed = [step.id if isinstance(step, FixedToken) else 0 for step in grammar.steps]
        self._fixed = torch.tensor(fixed, device=device)
        self._places = torch.tensor(self.positions, device=device)
        tied = [place for place, step in enumerate(self.steps) if step.units is not None]
        self._tied = torch.tensor(tied, dtype=torch.int64, device=device)
        units = [number[step.units.position] for step in self.steps if step.units is not None]
        self._units = torch.tensor(units, dtype=torch.int64, device=device)

    def between(self, first: int, last: int) -> tuple[int, int]:
        """The slots at positions `first` to `last`, both included, as a range of numbers."""
        return bisect_left(self.positions, first), bisect_right(self.positions, last)

    def answer_ids(self, choices: Tensor) -> Tensor:
        """The answers [B, L] int64 with the choices [B, S] in their slots."""
        ids = self._fixed.repeat(len(choices), 1)
        ids[:, self._places] = self.ids.gather(1, choices.T).T
        return ids

    def scores(self, logits: Tensor, slots: tuple[int, int]) -> Tensor:
        """Logits [B, n, U] of `columns` at a range of n slots as those of each slot's own choices [B, n, C].

        What is no choice of its slot has -inf.
        """
        start, stop = slots
        columns = self._column_of[start:stop].expand(len(logits), -1, -1)
        return logits.gather(2, columns).masked_fill(~self.is_open[start:stop], -torch.inf)

    def chosen(self, scores: Tensor, slots: tuple[int, int], choices: Tensor) -> Tensor:
        """The choices [B, S] with the likeliest one in every slot of a range.

        The digits after "1." are 0, also behind the range: nothing else is allowed there.

        Args:
            scores: [B, n, C] from `scores`.
            slots: the range of n slots.
            choices: [B, S], what stands in the others.
        """
        new = choices.clone()
        new[:, slice(*slots)] = scores.argmax(dim=2)
        return new.masked_fill(self.bound(new), 0)

    def bound(self, choices: Tensor) -> Tensor:
        """Which choices of [B, S] can be nothing but 0, bool: the digits after "1."."""
        found = torch.zeros_like(choices, dtype=torch.bool)
        found[:, self._tied] = choices[:, self._units] == 1
        return found

    def choices_of(self, values: npt.NDArray[np.float32]) -> Tensor:
        """The choices [B, S] of answers that give `values` [B, A], each on its scale; UNKNOWN is 0."""
        amounts = np.rint(np.clip(values, 0, self.grammar.scale.top) * 100).astype(np.int64)
        if self.grammar.scale is not Scale.INTENSITY:
            amounts = (amounts + 50) // 100 * 100
        elif len(self.steps) < 3 * len(self.grammar.aus):  # no digit before the point
            amounts = amounts.clip(max=99)
        place = {au: column for column, au in enumerate(self.grammar.aus)}
        digits = [amounts[:, place[step.slot.au]] // WORTH[step.slot.role] % 10 for step in self.steps]
        return torch.from_numpy(np.stack(digits, axis=1)).to(self.ids.device)

    def decisions(self, choices: Tensor, scores: Tensor) -> list[Decision]:
        """What was decided at every slot.

        Args:
            choices: [B, S].
            scores: [B, S, C], the logits that decided.
        """
        scores = scores.clone()
        barred = (choices[:, self._units] == 1)[:, :, None] & (
            torch.arange(scores.shape[2], device=scores.device) > 0
        )
        scores[:, self._tied] = scores[:, self._tied].masked_fill(barred, -torch.inf)
        probs = scores.softmax(dim=2)
        return [
            Decision(step, choices[:, place], probs[:, place, : len(step.ids)])
            for place, step in enumerate(self.steps)
        ]


def zeros(table: SlotTable, rows: int) -> Tensor:
    """The blank draft [B, S]: every digit is 0."""
    return torch.zeros(rows, len(table.steps), dtype=torch.int64, device=table.ids.device)


def slot_positions(table: SlotTable, slots: tuple[int, int], first: int) -> Sequence[int]:
    """Where the slots of a range stand, counted from position `first`."""
    return [position - first for position in table.positions[slice(*slots)]]
