"""Intervals by drawing people: the frames of one person are no independent observations.

Scores of decisions depend on the frames through four counts only, so the counts of every person are made
once and a draw of people is a weighted sum of them: one matrix product for all draws. The same draws serve
every model, so that differences between models are paired (Efron and Tibshirani, "An introduction to the
bootstrap", 1993).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aullava.evaluation.decisions import confusion

DRAWS = 1000
COVERAGE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """The middle part of a score's draws; both ends NaN when no draw has a score."""

    low: float
    high: float


def draw_people(people: int, draws: int = DRAWS, seed: int = 0) -> Tensor:
    """How often each person is drawn, float64 [draws, people]; every row adds up to `people`."""
    drawn = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), size=draws)
    return torch.from_numpy(drawn.astype(np.float64))


def numbered(subjects: Sequence[str]) -> tuple[Tensor, int]:
    """The number of each row's person, by sorted name, int64 [N], and how many people there are."""
    names, places = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    return torch.from_numpy(places.astype(np.int64)), len(names)


def counts_of_people(
    pairs: tuple[Tensor, Tensor, Tensor], threshold: Tensor, who: Tensor, people: int
) -> Tensor:
    """True and false positives, false and true negatives of every person.

    Args:
        pairs: predictions, targets and mask of what counts, each [N, A].
        threshold: float [A] or a scalar, present from here on.
        who: int64 [N], number of the person.
        people: how many there are.

    Returns:
        float64 [people, 4, A].
    """
    preds, target, known = pairs
    order = who.argsort(stable=True)
    sizes = torch.bincount(who, minlength=people).tolist()
    parts = zip(*(torch.split(one[order], sizes) for one in (preds, target, known)), strict=True)
    return torch.stack([confusion(preds, target, known, threshold) for preds, target, known in parts])


def sums_of_people(pairs: tuple[Tensor, Tensor, Tensor], who: Tensor, people: int) -> Tensor:
    """What errors and correlations of every person rest on, deviations from the means of all.

    Returns:
        float64 [people, 7, A]: count, sums of dx, dy, dx^2, dy^2, dx dy and |x - y|.
    """
    preds, target, known = pairs
    count = known.sum(0).clamp(min=1)
    dx = (preds - (preds * known).sum(0) / count) * known
    dy = (target - (target * known).sum(0) / count) * known
    error = (preds - target).abs() * known
    rows = torch.stack([known.to(preds.dtype), dx, dy, dx * dx, dy * dy, dx * dy, error], dim=1)
    return torch.zeros(people, *rows.shape[1:], dtype=rows.dtype).index_add_(0, who, rows)


def drawn(parts: Tensor, weights: Tensor) -> Tensor:
    """The sums of every draw, float64 [draws, ...], of the parts of people [people, ...]."""
    sums: Tensor = weights @ parts.flatten(1)
    return sums.reshape(len(weights), *parts.shape[1:])


def moments_of(sums: Tensor) -> Tensor:
    """Moments as `agreement` reads them, float64 [..., 6, A], with means that are deviations of the means.

    The concordance needs the real means; Pearson's correlation and the ICC do not.
    """
    count, x, y, xx, yy, xy, _ = sums.unbind(-2)
    n = count.clamp(min=1)
    spread_x, spread_y = (xx - x * x / n).clamp(min=0), (yy - y * y / n).clamp(min=0)
    return torch.stack([count, x / n, y / n, spread_x, spread_y, xy - x * y / n], dim=-2)


def interval(scores: Tensor, coverage: float = COVERAGE) -> Interval:
    """The percentiles that leave (1 - coverage) / 2 of the draws outside on each side.

    Args:
        scores: float [draws]; draws without support are NaN and left out.
        coverage: share of the draws inside.
    """
    known = scores[~scores.isnan()]
    if not len(known):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(known.numpy(), [(1 - coverage) / 2, (1 + coverage) / 2]).tolist()
    return Interval(low, high)
