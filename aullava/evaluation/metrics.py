"""The field's metrics, per Action Unit, as torchmetrics classes. Rules: `per_au`.

The formulas stand in `decisions` and `agreement`.

``update`` takes predictions and targets, float or int ``(B, A)``, UNKNOWN where there is none. Metrics of
amounts also take the sample ids, which fix the order in which they add up. ``compute`` returns float64
``(A,)`` (`F1Micro`: a scalar), NaN where there is no support. `ranking` holds AUROC and average precision,
`counts` support, invalid answers and the diversity of answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from torch import Tensor

from aullava.evaluation import agreement, decisions
from aullava.evaluation.moments import moments
from aullava.evaluation.per_au import PerAUMetric
from aullava.evaluation.rows import PerAURows


class PerAUConfusion(PerAUMetric):
    r"""True positives, false positives, false negatives and true negatives of each Action Unit.

    ``compute`` returns a float64 tensor of shape ``(4, A)``. Counts are whole numbers, so that scores made
    of them are the same bits however the rows arrive.

    Args:
        aus: codes of the Action Units, in the order of the columns.
        threshold: the smallest value that counts as present, for all or for each: 0.5 for 0/1 labels, 2 for
            levels in this field.
        kwargs: see torchmetrics' `Metric`.

    Example:
        >>> metric = PerAUConfusion(["AU1"])
        >>> metric.update(torch.tensor([[1], [1], [0]]), torch.tensor([[1], [0], [-1]]))
        >>> metric.compute().flatten()
        tensor([1., 1., 0., 0.], dtype=torch.float64)
    """

    higher_is_better: bool | None = None
    counts: Tensor

    def __init__(self, aus: Sequence[str], threshold: float | Sequence[float] = 0.5, **kwargs: Any) -> None:
        super().__init__(aus, **kwargs)
        self.threshold = self._from(threshold)
        self.add_state("counts", self._zeros(4), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch, both [B, A]; UNKNOWN on either side is left out.

        Raises:
            ValueError: another shape, NaN or inf.
        """
        preds, target, known = self._checked(preds, target)
        self.counts += decisions.confusion(preds, target, known, preds.new_tensor(self.threshold))

    def compute(self) -> Tensor:
        """The counts, float64 [4, A]."""
        return self.counts.clone()


class PerAUF1(PerAUConfusion):
    r"""F1 of each Action Unit: :math:`2 TP / (2 TP + FP + FN)`, pooled over all rows.

    NaN where no target is present. Arguments: see `PerAUConfusion`.

    Example:
        >>> metric = PerAUF1(["AU1", "AU2"])
        >>> metric.update(torch.tensor([[1, 1], [1, 0], [0, 0]]), torch.tensor([[1, 0], [0, 0], [-1, 0]]))
        >>> metric.compute()
        tensor([0.6667,    nan], dtype=torch.float64)
    """

    higher_is_better: bool = True
    plot_lower_bound: float = 0.0
    plot_upper_bound: float = 1.0
    formula: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(decisions.f1)

    def compute(self) -> Tensor:
        """The score of each Action Unit, float64 [A]."""
        return type(self).formula(self.counts)


class PerAUPrecision(PerAUF1):
    r"""Precision of each Action Unit: :math:`TP / (TP + FP)`.

    NaN where no target is present; 0 where some are and none was called.

    Arguments: see `PerAUConfusion`.

    Example:
        >>> metric = PerAUPrecision(["AU1", "AU2"])
        >>> metric.update(torch.tensor([[1, 1], [1, 0], [0, 0]]), torch.tensor([[1, 0], [0, 0], [0, 0]]))
        >>> metric.compute()
        tensor([0.5000,    nan], dtype=torch.float64)
    """

    formula: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(decisions.precision)


class PerAURecall(PerAUF1):
    r"""Recall of each Action Unit: :math:`TP / (TP + FN)`; NaN where no target is present.

    Arguments: see `PerAUConfusion`.

    Example:
        >>> metric = PerAURecall(["AU1", "AU2"])
        >>> metric.update(torch.tensor([[1, 1], [1, 0], [0, 0]]), torch.tensor([[1, 0], [0, 0], [0, 0]]))
        >>> metric.compute()
        tensor([1., nan], dtype=torch.float64)
    """

    formula: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(decisions.recall)


class PerAUAccuracy(PerAUF1):
    r"""Accuracy of each Action Unit: :math:`(TP + TN) / (TP + FP + FN + TN)`; NaN where no pair is known.

    Arguments: see `PerAUConfusion`.

    Example:
        >>> metric = PerAUAccuracy(["AU1", "AU2"])
        >>> metric.update(torch.tensor([[1, 1], [1, 0], [0, 0]]), torch.tensor([[1, 0], [0, 0], [0, 0]]))
        >>> metric.compute()
        tensor([0.6667, 0.6667], dtype=torch.float64)
    """

    formula: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(decisions.accuracy)


class PerAUBalancedAccuracy(PerAUF1):
    r"""Balanced accuracy of each Action Unit: the mean of the recalls of present and absent.

    :math:`(TP / (TP + FN) + TN / (TN + FP)) / 2` (Brodersen et al., ICPR 2010); NaN where the target has
    only one of the two.

    Arguments: see `PerAUConfusion`.

    Example:
        >>> metric = PerAUBalancedAccuracy(["AU1", "AU2"])
        >>> metric.update(torch.tensor([[1, 1], [1, 0], [0, 0]]), torch.tensor([[1, 0], [0, 0], [0, 0]]))
        >>> metric.compute()
        tensor([0.7500,    nan], dtype=torch.float64)
    """

    formula: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(decisions.balanced_accuracy)


class PerAUNormalisedF1(PerAUF1):
    r"""Skew-normalised F1 of each Action Unit: F1 as if present and absent were equally frequent.

    :math:`2 TP / (2 TP + FP / s + FN)` with the skew :math:`s = (FP + TN) / (TP + FN)` (Jeni, Cohn and De
    la Torre, "Facing imbalanced data", ACII 2013); NaN where the target has only one of the two.

    Arguments: see `PerAUConfusion`.

    Example:
        >>> metric = PerAUNormalisedF1(["AU1", "AU2"])
        >>> metric.update(torch.tensor([[1, 1], [1, 0], [0, 0]]), torch.tensor([[1, 0], [0, 0], [0, 0]]))
        >>> metric.compute()
        tensor([0.8000,    nan], dtype=torch.float64)
    """

    formula: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(decisions.f1_normalised)


class F1Micro(PerAUF1):
    r"""F1 of the decisions of all Action Units together, a scalar; NaN when none is ever present.

    :math:`2 \sum TP / (2 \sum TP + \sum FP + \sum FN)`: frequent Action Units weigh more, and those that
    never are present count with their false positives.

    Arguments: see `PerAUConfusion`.

    Example:
        >>> metric = F1Micro(["AU1", "AU2"])
        >>> metric.update(torch.tensor([[1, 1], [1, 0], [0, 0]]), torch.tensor([[1, 0], [0, 0], [0, 0]]))
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    formula: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(decisions.f1_micro)


class PerAUMAE(PerAURows):
    r"""Mean absolute error of each Action Unit: :math:`\frac{1}{n} \sum |x - y|`; NaN where no pair is known.

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

    def compute(self) -> Tensor:
        """Mean absolute error of each Action Unit, float64 [A]."""
        return agreement.mean_absolute_error(*self._pairs())


class PerAURMSE(PerAURows):
    r"""Root mean squared error of each Action Unit: :math:`\sqrt{\frac{1}{n} \sum (x - y)^2}`.

    NaN where no pair is known. Arguments: see `PerAUMAE`.

    Example:
        >>> metric = PerAURMSE(["AU1", "AU2"])
        >>> metric.update(torch.tensor([[1.0, 4.0], [2.0, 0.0]]), torch.tensor([[3.0, -1.0], [2.0, -1.0]]))
        >>> metric.compute()
        tensor([1.4142,    nan], dtype=torch.float64)
    """

    higher_is_better: bool = False
    plot_lower_bound: float = 0.0

    def compute(self) -> Tensor:
        """Root mean squared error of each Action Unit, float64 [A]."""
        return agreement.root_mean_squared_error(*self._pairs())


class PerAUPearson(PerAURows):
    r"""Pearson correlation (PCC) of each Action Unit: :math:`S_{xy} / \sqrt{S_{xx} S_{yy}}`.

    NaN where the target never varies. Predictions that never vary score 0 where the target does vary: the
    quotient is 0 / 0 there and SciPy says NaN, but a NaN is left out of the mean (see `agreement`).
    Arguments: see `PerAUMAE`.

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
    formula: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(agreement.pearson)

    def compute(self) -> Tensor:
        """The correlation of each Action Unit, float64 [A]."""
        return type(self).formula(moments(*self._pairs()))


class PerAUCCC(PerAUPearson):
    r"""Concordance correlation (CCC) of each Action Unit (Lin, Biometrics 1989).

    :math:`2 s_{xy} / (s_x^2 + s_y^2 + (\bar x - \bar y)^2)` with variances over :math:`n`. NaN where the
    target never varies; 0 where only the predictions never vary. Arguments: see `PerAUMAE`.

    Example:
        >>> metric = PerAUCCC(["AU1"])
        >>> metric.update(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0.0], [0.0], [3.0]]))
        >>> metric.compute()
        tensor(0.5455, dtype=torch.float64)
    """

    formula: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(agreement.concordance)


class PerAUICC(PerAUPearson):
    r"""ICC(3,1) of each Action Unit: two-way mixed, consistency, one measurement, two raters.

    :math:`(MS_R - MS_E) / (MS_R + MS_E)` of the analysis of variance with images as rows, prediction and
    label as raters (Shrout and Fleiss, Psychological Bulletin 1979). NaN where the target never varies; 0
    where only the predictions never vary. Arguments: see `PerAUMAE`.

    Example:
        >>> metric = PerAUICC(["AU1"])
        >>> metric.update(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0.0], [0.0], [3.0]]))
        >>> metric.compute()
        tensor(0.7500, dtype=torch.float64)
    """

    formula: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(agreement.icc)
