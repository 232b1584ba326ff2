"""Scores of amounts (levels, intensities) as formulas on moments and errors.

Moments are float64 [..., 6, A] as `moments.moments` gives them: count, means of predictions and targets,
sums of squared deviations of both, sum of the products of the deviations. The correlations are NaN where
the target never varies ("no support") and 0 where only the predictions never vary: a NaN is left out of the
mean, and a model that answers one value for all faces would raise its mean by every Action Unit that it
does not read.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor


def pearson(moments: Tensor) -> Tensor:
    """Sxy / sqrt(Sxx Syy), float64 [..., A]."""
    _, _, _, sxx, syy, sxy = moments.unbind(-2)
    pcc = (sxy / (sxx.sqrt() * syy.sqrt())).clamp(-1, 1)
    return torch.where(sxx > 0, pcc, 0.0).where(syy > 0, torch.nan)


def concordance(moments: Tensor) -> Tensor:
    """Lin's coefficient (Biometrics 1989), variances over n: 2 sxy / (sxx + syy + (mean x - mean y)^2)."""
    count, mean_x, mean_y, sxx, syy, sxy = moments.unbind(-2)
    ccc = 2 * sxy / (sxx + syy + count * (mean_x - mean_y) ** 2)
    return ccc.where(syy > 0, torch.nan)


def icc(moments: Tensor) -> Tensor:
    """ICC(3,1) of two raters (Shrout and Fleiss, Psychological Bulletin 1979): (MSR - MSE) / (MSR + MSE).

    With two raters MSR = (Sxx + Syy + 2 Sxy) / 2(n - 1) and MSE = (Sxx + Syy - 2 Sxy) / 2(n - 1), so that the
    quotient is 2 Sxy / (Sxx + Syy).
    """
    _, _, _, sxx, syy, sxy = moments.unbind(-2)
    return (2 * sxy / (sxx + syy)).where(syy > 0, torch.nan)


def mean_absolute_error(preds: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Mean of |x - y| over the known pairs of each column [B, A], float64 [A]; NaN without any."""
    return ((preds - target).abs() * known).sum(0) / known.sum(0)


def root_mean_squared_error(preds: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Root of the mean of (x - y)^2 over the known pairs of each column, float64 [A]; NaN without any."""
    return (((preds - target) * known).square().sum(0) / known.sum(0)).sqrt()


CORRELATIONS: Final = MappingProxyType[str, Callable[[Tensor], Tensor]](
    {"pcc": pearson, "ccc": concordance, "icc": icc}
)
"""Name of each correlation in a result -> its formula."""

ERRORS: Final = MappingProxyType[str, Callable[[Tensor, Tensor, Tensor], Tensor]](
    {"mae": mean_absolute_error, "rmse": root_mean_squared_error}
)
"""Name of each error in a result -> its formula."""
