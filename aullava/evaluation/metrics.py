"""The field's metrics, per Action Unit: F1, mean absolute error, Pearson correlation. Rules: `per_au`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aullava.evaluation.moments import merge_moments, moments
from aullava.evaluation.per_au import PerAUMetric


class PerAUF1(PerAUMetric):
    r"""F1 of each Action Unit: :math:`2 TP / (2 TP + FP + FN)`, pooled over all rows.

    As input to ``forward`` and ``update`` the metric accepts the following input:

    - ``preds`` (:class:`~torch.Tensor`): float or int tensor ``(B, A)``, present from ``threshold`` on
    - ``target`` (:class:`~torch.Tensor`): float or int tensor ``(B, A)``, present from ``threshold`` on

    As output of ``forward`` and ``compute`` the metric returns the following output:

    - ``f1`` (:class:`~torch.Tensor`): float64 tensor of shape ``(A,)``; NaN where no target is present

    Args:
        aus: codes of the Action Units, in the order of the columns.
        threshold: the smallest value that counts as present: 0.5 for 0/1 labels, 2 for levels in this field.
        kwargs: see torchmetrics' `Metric`.

    Example:
        >>> metric = PerAUF1(["AU1", "AU2"])
        >>> metric.update(torch.tensor([[1, 1], [1, 0], [0, 0]]), torch.tensor([[1, 0], [0, 0], [-1, 0]]))
        >>> metric.compute()
        tensor([0.6667,    nan], dtype=torch.float64)
    """

    higher_is_better: bool = True
    plot_lower_bound: float = 0.0
    plot_upper_bound: float = 1.0
    tp: Tensor
    fp: Tensor
    fn: Tensor

    def __init__(self, aus: Sequence[str], threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(aus, **kwargs)
        self.threshold = threshold
        for name in ("tp", "fp", "fn"):
            self.add_state(name, self._zeros(), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch, both [B, A]; UNKNOWN on either side is left out.

        Raises:
            ValueError: another shape, NaN or inf.
        """
        preds, target, known = self._checked(preds, target)
        yes, truth = (preds >= self.threshold) & known, (target >= self.threshold) & known
        self.tp += (yes & truth).sum(0)
        self.fp += (yes & ~truth).sum(0)
        self.fn += (~yes & truth).sum(0)

    def compute(self) -> Tensor:
        """F1 of each Action Unit, float64 [A]."""
        f1 = 2 * self.tp / (2 * self.tp + self.fp + self.fn)
        return f1.where(self.tp + self.fn > 0, torch.nan)


class PerAUMAE(PerAUMetric):
    r"""Mean absolute error of each Action Unit.

    As input to ``forward`` and ``update`` the metric accepts the following input:

    - ``preds`` (:class:`~torch.Tensor`): float or int tensor of shape ``(B, A)``
    - ``target`` (:class:`~torch.Tensor`): float or int tensor of shape ``(B, A)``

    As output of ``forward`` and ``compute`` the metric returns the following output:

    - ``mae`` (:class:`~torch.Tensor`): float64 tensor of shape ``(A,)``; NaN where no pair is known

    Args:
        aus: codes of the Action Units, in the order of the columns.
        kwargs: see torchmetrics' `Metric`.

    Example:
        >>> metric = PerAUMAE(["AU1", "AU2"])
        >>> metric.update(torch.tensor([[1.0, 4.0], [2.0, 0.0]]), torch.tensor([[3.0, -1.0], [2.0, -1.0]]))
        >>> metric.compute()
        tensor([1., nan], dtype=torch.float64)
    """

    higher_is_better: bool = False
    plot_lower_bound: float = 0.0
    error: Tensor
    count: Tensor

    def __init__(self, aus: Sequence[str], **kwargs: Any) -> None:
        super().__init__(aus, **kwargs)
        for name in ("error", "count"):
            self.add_state(name, self._zeros(), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch, both [B, A]; UNKNOWN on either side is left out.

        Raises:
            ValueError: another shape, NaN or inf.
        """
        preds, target, known = self._checked(preds, target)
        self.error += ((preds - target).abs() * known).sum(0)
        self.count += known.sum(0)

    def compute(self) -> Tensor:
        """Mean absolute error of each Action Unit, float64 [A]."""
        return self.error / self.count  # 0 / 0 is the NaN that is wanted


class PerAUPearson(PerAUMetric):
    r"""Pearson correlation (PCC) of each Action Unit.

    As input to ``forward`` and ``update`` the metric accepts the following input:

    - ``preds`` (:class:`~torch.Tensor`): float or int tensor of shape ``(B, A)``
    - ``target`` (:class:`~torch.Tensor`): float or int tensor of shape ``(B, A)``

    As output of ``forward`` and ``compute`` the metric returns the following output:

    - ``pcc`` (:class:`~torch.Tensor`): float64 tensor of shape ``(A,)``; NaN where the target never varies

    Predictions that never vary score 0 where the target does vary. The quotient is 0 / 0 there and SciPy says
    NaN, but a NaN is left out of the mean: a model that answers one value for all faces would raise its mean
    by every Action Unit that it does not read.

    Args:
        aus: codes of the Action Units, in the order of the columns.
        kwargs: see torchmetrics' `Metric`.

    Example:
        >>> metric = PerAUPearson(["AU1", "AU2", "AU4"])
        >>> preds = torch.tensor([[1.0, 0.0, 2.0], [2.0, 0.0, 3.0], [3.0, 0.0, 4.0]])
        >>> target = torch.tensor([[0.0, 1.0, 5.0], [0.0, 2.0, 5.0], [3.0, 3.0, 5.0]])
        >>> metric.update(preds, target)
        >>> metric.compute()
        tensor([0.8660, 0.0000,    nan], dtype=torch.float64)
    """

    higher_is_better: bool = True
    plot_lower_bound: float = -1.0
    plot_upper_bound: float = 1.0
    moments: Tensor

    def __init__(self, aus: Sequence[str], **kwargs: Any) -> None:
        super().__init__(aus, **kwargs)
        self.add_state("moments", self._zeros(6), dist_reduce_fx=merge_moments)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch, both [B, A]; UNKNOWN on either side is left out.

        Raises:
            ValueError: another shape, NaN or inf.
        """
        preds, target, known = self._checked(preds, target)
        if len(preds):
            self.moments = merge_moments(torch.stack([self.moments, moments(preds, target, known)]))

    def compute(self) -> Tensor:
        """Correlation of each Action Unit, float64 [A]."""
        spread_preds, spread_target, product = self.moments[3:].unbind()
        pcc = (product / (spread_preds.sqrt() * spread_target.sqrt())).clamp(-1, 1)
        return torch.where(spread_preds > 0, pcc, 0.0).where(spread_target > 0, torch.nan)
