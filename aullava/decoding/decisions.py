"""From the logits at the slots to decisions and their probabilities, whichever way the logits came about.

An answer is written from left to right, so every distribution here is conditioned on what the answer says
before its slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aullava.text.answer import Readings, Scale
from aullava.text.grammar import WORTH, allowed
from aullava.text.tokens import SlotToken, TokenGrammar

BELOW_ONE: Final = 0.95
"""What an intensity is taken to be if it is below 1.00 after all, when the answer says 1.00: the digits that
would then follow were never asked for."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was chosen at one slot.

    Attributes:
        step: the slot.
        choices: [B] int64, which of the slot's choices each row takes.
        probs: [B, C] float32 over the slot's choices; what is not allowed has 0.
    """

    step: SlotToken
    choices: Tensor
    probs: Tensor


def decide(scores: Tensor, step: SlotToken, units: Decision | None) -> Decision:
    """The likeliest allowed choice of every row.

    Args:
        scores: [B, C] logits of the slot's choices.
        step: the slot.
        units: what was decided for the units digit of the same value, if there is one before it.
    """
    if units is not None:
        # What is allowed depends on the row by its units digit only: one line of a small table per digit.
        digits = units.step.slot.choices
        table = [[choice in allowed(step.slot, digit) for choice in step.slot.choices] for digit in digits]
        open_choices = torch.tensor(table, device=scores.device)[units.choices]
        scores = scores.masked_fill(~open_choices, -torch.inf)
    return Decision(step, scores.argmax(dim=1), scores.float().softmax(dim=1))


def readings(grammar: TokenGrammar, decisions: Sequence[Decision]) -> list[Readings]:
    """What the slots say beside the answer, for each of B rows."""
    by_au: dict[str, list[Decision]] = {au: [] for au in grammar.aus}
    for decision in decisions:
        by_au[decision.step.slot.au].append(decision)
    columns = [_reading(grammar.scale, by_au[au]) for au in grammar.aus]
    probs, expected, spread = (_stacked([column[place] for column in columns]) for place in range(3))
    return [Readings(*row) for row in zip(probs, expected, spread, strict=True)]


def _reading(scale: Scale, decisions: Sequence[Decision]) -> tuple[Tensor, Tensor, Tensor]:
    """Probability, expectation and standard deviation [B] of one Action Unit."""
    if scale is Scale.INTENSITY:
        return _intensity(decisions)
    (decision,) = decisions
    values = decision.probs.new_tensor([float(choice) for choice in decision.step.slot.choices])
    mean, variance = _moments(decision.probs, values)
    probability = decision.probs[:, 1] if scale is Scale.PRESENCE else _chosen(decision)
    return probability, mean, variance.clamp(min=0).sqrt()


def _intensity(decisions: Sequence[Decision]) -> tuple[Tensor, Tensor, Tensor]:
    """As `_reading` for "0.37" or "37": the hundredths count as independent of the tenths."""
    digits = [decision for decision in decisions if decision.step.slot.role != "units"]
    probability = torch.ones(len(digits[0].choices), device=digits[0].probs.device)
    mean, variance = torch.zeros_like(probability), torch.zeros_like(probability)
    for decision in digits:
        slot = decision.step.slot
        values = decision.probs.new_tensor([int(choice) * WORTH[slot.role] / 100 for choice in slot.choices])
        more, wider = _moments(decision.probs, values)
        probability = probability * _chosen(decision)
        mean, variance = mean + more, variance + wider
    if len(digits) == len(decisions):
        return probability, mean, variance.clamp(min=0).sqrt()
    units = decisions[0]
    probability = probability * _chosen(units)
    full = units.choices == units.step.slot.choices.index("1")
    mean = torch.where(full, BELOW_ONE, mean)  # the digits after "1." can only be 0
    one = units.probs[:, units.step.slot.choices.index("1")]
    expected = one + (1 - one) * mean
    between = one * (1 - one) * (1 - mean) ** 2
    return probability, expected, ((1 - one) * variance + between).clamp(min=0).sqrt()


def _moments(probs: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    mean = probs @ values
    return mean, (probs * (values - mean[:, None]) ** 2).sum(dim=1)


def _chosen(decision: Decision) -> Tensor:
    return decision.probs.gather(1, decision.choices[:, None])[:, 0]


def _stacked(columns: Sequence[Tensor]) -> npt.NDArray[np.float32]:
    stacked: npt.NDArray[np.float32] = torch.stack(list(columns), dim=1).cpu().numpy()
    return stacked
