"""Scores of yes/no decisions as formulas on counts: one place for metrics, score books and bootstrap.

Counts are float64 [..., 4, A]: true positives, false positives, false negatives, true negatives of each
Action Unit. Whatever stands before the last two dimensions (the draws of a bootstrap) is computed at once.
All scores are NaN where the target never is present ("no support"), accuracy where no pair is known.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor


def confusion(preds: Tensor, target: Tensor, known: Tensor, threshold: Tensor) -> Tensor:
    """The counts of a batch.

    Args:
        preds: float [B, A], present from `threshold` on.
        target: float [B, A], likewise.
        known: bool [B, A], the pairs that count.
        threshold: float [A] or a scalar.

    Returns:
        float64 [4, A].
    """
    yes, truth = preds >= threshold, target >= threshold
    cells = (yes & truth, yes & ~truth, ~yes & truth, ~yes & ~truth)
    return torch.stack([(cell & known).sum(0) for cell in cells]).to(torch.float64)


def f1(counts: Tensor) -> Tensor:
    """2 TP / (2 TP + FP + FN), float64 [..., A]."""
    tp, fp, fn, _ = counts.unbind(-2)
    return (2 * tp / (2 * tp + fp + fn)).where(tp + fn > 0, torch.nan)


def precision(counts: Tensor) -> Tensor:
    """TP / (TP + FP); 0, not NaN, where nothing was called present although it was there: like F1."""
    tp, fp, fn, _ = counts.unbind(-2)
    return (tp / (tp + fp).clamp(min=1)).where(tp + fn > 0, torch.nan)


def recall(counts: Tensor) -> Tensor:
    """TP / (TP + FN), float64 [..., A]."""
    tp, _, fn, _ = counts.unbind(-2)
    return tp / (tp + fn)  # 0 / 0 is the NaN that is wanted


def accuracy(counts: Tensor) -> Tensor:
    """(TP + TN) / all, float64 [..., A]."""
    tp, _, _, tn = counts.unbind(-2)
    return (tp + tn) / counts.sum(-2)


def balanced_accuracy(counts: Tensor) -> Tensor:
    """Mean of the recalls of present and absent; NaN where the target has one of the two only."""
    tp, fp, fn, tn = counts.unbind(-2)
    return (tp / (tp + fn) + tn / (tn + fp)) / 2


def f1_normalised(counts: Tensor) -> Tensor:
    """F1 as if present and absent were equally frequent (Jeni, Cohn and De la Torre, ACII 2013).

    False positives are divided by the skew (absent / present). NaN where the target has one of the two only.
    """
    tp, fp, fn, tn = counts.unbind(-2)
    skew = (fp + tn) / (tp + fn)
    return (2 * tp / (2 * tp + fp / skew + fn)).where((tp + fn > 0) & (fp + tn > 0), torch.nan)


def f1_micro(counts: Tensor) -> Tensor:
    """F1 of the decisions of all Action Units together, float64 [...]; NaN when none is ever present."""
    return f1(counts.sum(-1, keepdim=True))[..., 0]


PER_AU: Final = MappingProxyType[str, Callable[[Tensor], Tensor]](
    {
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "accuracy": accuracy,
        "balanced_accuracy": balanced_accuracy,
        "f1_normalised": f1_normalised,
    }
)
"""Name of each per-AU score in a result -> its formula."""
