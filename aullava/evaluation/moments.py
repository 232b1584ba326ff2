"""Counts, means and sums of squared deviations: all that a correlation needs."""

from __future__ import annotations

import torch
from torch import Tensor


def moments(x: Tensor, y: Tensor, known: Tensor) -> Tensor:
    """Sufficient statistics of a correlation, per column.

    Means are taken as the first value plus the mean deviation from it, and spreads from deviations from the
    mean, so that the spread of a column that never varies is exactly 0.

    Args:
        x: float64 [B, A].
        y: float64 [B, A].
        known: bool [B, A], the pairs that count.

    Returns:
        float64 [6, A]: count, mean of x, mean of y, sums of (x - mean)^2, of (y - mean)^2, of their product.
    """
    if not len(x):
        return x.new_zeros(6, x.shape[1])
    count = known.sum(0).to(x.dtype)
    first = known.to(torch.uint8).argmax(0, keepdim=True)
    means, deviations = [], []
    for values in (x, y):
        origin = values.gather(0, first)[0]
        mean = origin + ((values - origin) * known).sum(0) / count.clamp(min=1)
        means.append(mean)
        deviations.append((values - mean) * known)
    dx, dy = deviations
    statistics = torch.stack([count, *means, (dx * dx).sum(0), (dy * dy).sum(0), (dx * dy).sum(0)])
    return statistics * (count > 0)
