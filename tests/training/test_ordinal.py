from __future__ import annotations

import pytest
import torch

from aullava.training.ordinal import number_loss

DIGITS = torch.arange(20, 30)


def _logits(probabilities: list[float]) -> torch.Tensor:
    """One position [1, 40] at which the digits have these probabilities."""
    logits = torch.full((1, 40), -2.0)
    logits[0, 20 : 20 + len(probabilities)] = torch.tensor(probabilities).clamp(min=1e-12).log()
    logits[0, 20 + len(probabilities) : 30] = -100.0
    return logits


def test_it_is_the_expected_distance() -> None:
    logits = _logits([0.5, 0.25, 0.25])
    loss = number_loss(logits, torch.tensor([22]), torch.tensor([0.1]), DIGITS)
    assert float(loss) == pytest.approx(0.1 * (0.5 * 2 + 0.25 * 1))


def test_words_are_not_counted_but_share_the_mean() -> None:
    logits = torch.cat([_logits([0.5, 0.5]), torch.randn(3, 40)])
    worths = torch.tensor([0.2, 0.0, 0.0, 0.0])
    loss = number_loss(logits, torch.tensor([21, 5, 6, 7]), worths, DIGITS)
    assert float(loss) == pytest.approx(0.2 * 0.5 / 4)
    assert float(number_loss(logits, torch.tensor([5, 5, 6, 7]), 0 * worths, DIGITS)) == 0.0


def test_its_best_answer_is_the_median() -> None:
    """Learnt alone from 4 zeros and a spread of larger digits, the likeliest digit is the median, not 0."""
    true = torch.tensor([0, 0, 0, 0, 4, 5, 5, 6, 7, 7, 8]) + 20
    logits = torch.zeros(1, 40, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(300):
        loss = number_loss(logits.expand(len(true), -1), true, torch.full((len(true),), 0.1), DIGITS)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert int(logits[0, 20:30].argmax()) == 5
