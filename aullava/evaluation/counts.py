"""What stands beside every score: its support, the answers that could not be read, how many differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aullava.evaluation.per_au import PerAUMetric
from aullava.evaluation.rows import PerAURows
from datamodules.action_units import UNKNOWN


class PerAUSupport(PerAUMetric):
    r"""How many pairs each Action Unit was scored on.

    As input to ``forward`` and ``update`` the metric accepts the following input:

    - ``preds`` (:class:`~torch.Tensor`): float or int tensor of shape ``(B, A)``
    - ``target`` (:class:`~torch.Tensor`): float or int tensor of shape ``(B, A)``

    As output of ``forward`` and ``compute`` the metric returns the following output:

    - ``support`` (:class:`~torch.Tensor`): float64 tensor of shape ``(A,)``

    Args:
        aus: codes of the Action Units, in the order of the columns.
        threshold: count only targets from here on (the positives that F1 stands on), for all
            Action Units or for each; None counts all.
        kwargs: see torchmetrics' `Metric`.

    Example:
        >>> metric = PerAUSupport(["AU1", "AU2"])
        >>> metric.update(torch.tensor([[1, 1], [1, 0]]), torch.tensor([[1, -1], [0, 0]]))
        >>> metric.compute()
        tensor([2., 1.], dtype=torch.float64)
    """

    higher_is_better: None = None
    count: Tensor

    def __init__(
        self, aus: Sequence[str], threshold: float | Sequence[float] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(aus, **kwargs)
        self.threshold = None if threshold is None else self._from(threshold)
        self.add_state("count", self._zeros(), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch, both [B, A]; UNKNOWN on either side is left out.

        Raises:
            ValueError: another shape, NaN or inf.
        """
        _, target, known = self._checked(preds, target)
        if self.threshold is not None:
            known = known & (target >= target.new_tensor(self.threshold))
        self.count += known.sum(0)

    def compute(self) -> Tensor:
        """Number of pairs of each Action Unit, float64 [A]."""
        return self.count.clone()


class InvalidRate(PerAUMetric):
    r"""Share of the answers that could not be read: rows where a coded Action Unit has an UNKNOWN prediction.

    As input to ``forward`` and ``update`` the metric accepts the following input:

    - ``preds`` (:class:`~torch.Tensor`): float or int tensor of shape ``(B, A)``
    - ``target`` (:class:`~torch.Tensor`): float or int tensor of shape ``(B, A)``

    As output of ``forward`` and ``compute`` the metric returns the following output:

    - ``invalid_rate`` (:class:`~torch.Tensor`): float64 scalar in [0, 1]; NaN when no row has a known target

    Args:
        aus: codes of the Action Units, in the order of the columns.
        kwargs: see torchmetrics' `Metric`.

    Example:
        >>> metric = InvalidRate(["AU1", "AU2"])
        >>> metric.update(torch.tensor([[1, 1], [-1, -1]]), torch.tensor([[1, -1], [0, -1]]))
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better: bool = False
    plot_lower_bound: float = 0.0
    plot_upper_bound: float = 1.0
    invalid: Tensor
    rows: Tensor

    def __init__(self, aus: Sequence[str], **kwargs: Any) -> None:
        super().__init__(aus, **kwargs)
        for name in ("invalid", "rows"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch, both [B, A]; rows without a known target (padding) are left out.

        Raises:
            ValueError: another shape, NaN or inf.
        """
        _, target, known = self._checked(preds, target)
        coded = target != UNKNOWN
        self.invalid += (coded & ~known).any(1).sum()
        self.rows += coded.any(1).sum()

    def compute(self) -> Tensor:
        """Share of unreadable answers, a float64 scalar."""
        return self.invalid / self.rows


class AnswerDiversity(PerAURows):
    r"""Effective number of different answers: :math:`\exp(-\sum_k p_k \ln p_k)` (Hill number of order 1).

    :math:`p_k` is the share of the k-th answer, read as a whole row. 1 says that the model answers the same
    for every image (collapse); as many as there are rows, that no answer comes twice. Rows of which a coded
    Action Unit could not be read are left out, and columns that are not coded in a row count as such.
    ``compute`` returns a float64 scalar, NaN without any answer (Hill, "Diversity and evenness", Ecology
    1973).

    Args:
        aus: codes of the Action Units, in the order of the columns.
        kwargs: see torchmetrics' `Metric`.

    Example:
        >>> metric = AnswerDiversity(["AU1", "AU2"])
        >>> metric.update(torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]]), torch.zeros(4, 2))
        >>> metric.compute()
        tensor(2., dtype=torch.float64)
    """

    higher_is_better: None = None
    plot_lower_bound: float = 1.0

    def compute(self) -> Tensor:
        """Effective number of different answers, a float64 scalar."""
        preds, target, _ = self._pairs()
        return diversity(preds, target, preds)


def diversity(rows: Tensor, target: Tensor, preds: Tensor) -> Tensor:
    """The effective number of different rows among those whose answers could be read.

    Args:
        rows: float [N, A], the predictions or, to compare with, the targets.
        target: float [N, A], UNKNOWN where not coded: such cells do not tell rows apart.
        preds: float [N, A], UNKNOWN where an answer could not be read.

    Returns:
        float64 scalar; NaN when no answer could be read.
    """
    coded = target != UNKNOWN
    read = ~(coded & (preds == UNKNOWN)).any(1)
    kept = rows.where(coded, UNKNOWN)[read]
    if not len(kept):
        return torch.tensor(torch.nan, dtype=torch.float64)
    _, counts = torch.unique(kept, dim=0, return_counts=True)
    share: Tensor = counts.to(torch.float64) / len(kept)
    return (-(share * share.log()).sum()).exp()
