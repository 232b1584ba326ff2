"""How well a probability, or a level, ranks the present above the absent: AUROC and average precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor

from aullava.evaluation.rows import PerAURows


def auroc(scores: Tensor, truth: Tensor) -> Tensor:
    """Chance that a present example outranks an absent one, ties counted half (Hanley and McNeil 1982).

    Args:
        scores: float64 [N].
        truth: bool [N].

    Returns:
        float64 scalar, exact counts divided once; NaN unless both classes are there.
    """
    present, absent = _by_score(scores, truth)
    below = absent.cumsum(0) - absent
    return (present * (2 * below + absent)).sum() / (2 * present.sum() * absent.sum())


def average_precision(scores: Tensor, truth: Tensor) -> Tensor:
    """Precision at every threshold, weighted by the recall gained there, without interpolation.

    Args:
        scores: float64 [N].
        truth: bool [N].

    Returns:
        float64 scalar; NaN when nothing is present.
    """
    present, absent = (counts.flip(0) for counts in _by_score(scores, truth))
    found = present.cumsum(0)
    return (present * found / (found + absent.cumsum(0))).sum() / present.sum()


def _by_score(scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """How many present and absent examples share each score, by rising score: float64 [K] each."""
    values, place = torch.unique(scores, return_inverse=True)
    present = torch.zeros(len(values), dtype=torch.float64).index_add_(0, place, truth.to(torch.float64))
    absent = torch.zeros(len(values), dtype=torch.float64).index_add_(0, place, (~truth).to(torch.float64))
    return present, absent


RANKINGS: Final = MappingProxyType[str, Callable[[Tensor, Tensor], Tensor]](
    {"auroc": auroc, "average_precision": average_precision}
)
"""Name of each ranking score in a result -> its formula."""


def rank_scores(
    pairs: tuple[Tensor, Tensor, Tensor],
    threshold: Sequence[float],
    formula: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """A ranking formula on every column.

    Args:
        pairs: scores [N, A], targets [N, A] and the mask of what counts, as `rows.pairs_of` gives them.
        threshold: A values, from which each target is present.
        formula: `auroc` or `average_precision`.

    Returns:
        float64 [A].
    """
    scores, target, known = pairs
    truth = target >= torch.tensor(threshold, dtype=torch.float64)
    columns = [formula(scores[known[:, at], at], truth[known[:, at], at]) for at in range(scores.shape[1])]
    return torch.stack(columns)


class PerAUAUROC(PerAURows):
    r"""Area under the ROC curve of each Action Unit; ties count half.

    ``update`` takes scores (probabilities, levels) ``(B, A)``, targets ``(B, A)`` and optionally the sample
    ids. ``compute`` returns a float64 tensor of shape ``(A,)``; NaN unless the target has both classes.

    Args:
        aus: codes of the Action Units, in the order of the columns.
        threshold: the smallest target that counts as present, for all or for each.
        kwargs: see torchmetrics' `Metric`.

    Example:
        >>> metric = PerAUAUROC(["AU1"])
        >>> metric.update(torch.tensor([[0.9], [0.4], [0.4]]), torch.tensor([[1], [1], [0]]))
        >>> metric.compute()
        tensor(0.7500, dtype=torch.float64)
    """

    higher_is_better: bool = True
    plot_lower_bound: float = 0.0
    plot_upper_bound: float = 1.0

    def __init__(self, aus: Sequence[str], threshold: float | Sequence[float] = 0.5, **kwargs: Any) -> None:
        super().__init__(aus, **kwargs)
        self.threshold = self._from(threshold)

    def compute(self) -> Tensor:
        """AUROC of each Action Unit, float64 [A]."""
        return rank_scores(self._pairs(), self.threshold, auroc)


class PerAUAveragePrecision(PerAUAUROC):
    r"""Average precision of each Action Unit: :math:`\sum_n (R_n - R_{n-1}) P_n`, as scikit-learn defines it.

    ``update`` takes scores (probabilities, levels) ``(B, A)``, targets ``(B, A)`` and optionally the sample
    ids. ``compute`` returns a float64 tensor of shape ``(A,)``; NaN where no target is present.

    Args:
        aus: codes of the Action Units, in the order of the columns.
        threshold: the smallest target that counts as present, for all or for each.
        kwargs: see torchmetrics' `Metric`.

    Example:
        >>> metric = PerAUAveragePrecision(["AU1"])
        >>> metric.update(torch.tensor([[0.9], [0.4], [0.5]]), torch.tensor([[1], [1], [0]]))
        >>> metric.compute()
        tensor(0.8333, dtype=torch.float64)
    """

    def compute(self) -> Tensor:
        """Average precision of each Action Unit, float64 [A]."""
        return rank_scores(self._pairs(), self.threshold, average_precision)
