"""Counts, means and sums of squared deviations that can be merged: all that a correlation needs."""

from __future__ import annotations

import torch
from torch import Tensor


def moments(x: Tensor, y: Tensor, known: Tensor) -> Tensor:
    """Sufficient statistics of a correlation, per column.

    Means are taken as the first value plus the mean deviation from it, and spreads from deviations from the
    mean, so that the spread of a column that never varies is exactly 0.

    Args:
        x: float64 [B, A], B >= 1.
        y: float64 [B, A].
        known: bool [B, A], the pairs that count.

    Returns:
        float64 [6, A]: count, mean of x, mean of y, sums of (x - mean)^2, of (y - mean)^2, of their product.
    """
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


def merge_moments(parts: Tensor) -> Tensor:
    """Merge the statistics of disjoint rows by the pairwise update of Chan, Golub and LeVeque (1979).

    Args:
        parts: float64 [P, 6, A], each as `moments` returns it; zeros where there were no rows.

    Returns:
        float64 [6, A]: the statistics of all rows together.
    """
    merged = parts[0]
    for part in parts[1:]:
        count = merged[0] + part[0]
        share = part[0] / count.clamp(min=1)
        dx, dy = part[1] - merged[1], part[2] - merged[2]
        weight = merged[0] * share
        means = torch.stack([merged[1] + dx * share, merged[2] + dy * share])
        between = torch.stack([weight * dx * dx, weight * dy * dy, weight * dx * dy])
        merged = torch.cat([count[None], means, merged[3:] + part[3:] + between])
    return merged
