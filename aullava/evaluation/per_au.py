"""The ground under every metric: one column per Action Unit, UNKNOWN masked, sums in float64.

Rules that all metrics share:
    * A pair whose target or prediction is UNKNOWN is left out. An UNKNOWN target was never coded (a row of
      nothing else is padding); an UNKNOWN prediction is an answer that could not be read, and `InvalidRate`
      counts it.
    * An Action Unit without support is NaN, never 0, and `macro` leaves it out of the mean.
    * Several processes, or `merge_state`, give the bits of one process over all rows: decisions are counted,
      and whatever is no count is computed from all rows in one order (`rows`).
    * torchmetrics squeezes what `compute` returns: with a single Action Unit it is a scalar, not [1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from datamodules.action_units import UNKNOWN


def macro(values: Tensor) -> Tensor:
    """The mean over the Action Units that have support.

    Args:
        values: float [A], NaN where there is no support.

    Returns:
        A scalar; NaN when no Action Unit has support.

    Example:
        >>> macro(torch.tensor([0.5, float("nan"), 1.0]))
        tensor(0.7500)
    """
    return values.nanmean()


class PerAUMetric(Metric):
    """What the metrics share: the Action Units, the checks and the mask, float64 for good.

    Args:
        aus: codes of the Action Units, in the order of the columns.
        kwargs: see torchmetrics' `Metric`.

    Raises:
        ValueError: no Action Unit, or one of them twice.
    """

    is_differentiable: bool = False
    full_state_update: bool = False

    def __init__(self, aus: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aus = tuple(aus)
        if not self.aus or len(set(self.aus)) != len(self.aus):
            raise ValueError(f"Expected one or more different Action Units, but got {self.aus}")

    def _apply(self, fn: Callable[..., Any], exclude_state: Sequence[str] = "") -> torch.nn.Module:
        """Follow moves between devices but stay float64: `.to(bfloat16)` on a model must not round sums."""
        return super()._apply(lambda state: state.to(fn(state.new_empty(0)).device), exclude_state)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(*shape, len(self.aus), dtype=torch.float64)

    def _from(self, threshold: float | Sequence[float]) -> tuple[float, ...]:
        """One threshold for each Action Unit."""
        each = (threshold,) * len(self.aus) if isinstance(threshold, int | float) else tuple(threshold)
        if len(each) != len(self.aus):
            raise ValueError(f"Expected one threshold or {len(self.aus)}, but got {len(each)}")
        return each

    def _checked(self, preds: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A batch as float64, and the mask of the pairs that count; all [B, A]."""
        expected = (len(preds), len(self.aus))
        if preds.shape != expected or target.shape != expected:
            raise ValueError(
                f"Expected `preds` and `target` of shape [B, {len(self.aus)}], one column per Action Unit, "
                f"but got {list(preds.shape)} and {list(target.shape)}"
            )
        preds, target = preds.detach().to(torch.float64), target.detach().to(torch.float64)
        if not bool((preds + target).isfinite().all()):
            # Left to itself, a NaN would count as absent in F1 and as "no support" everywhere else.
            raise ValueError(f"Expected `preds` and `target` without NaN and inf; not known is {UNKNOWN:g}")
        return preds, target, (target != UNKNOWN) & (preds != UNKNOWN)
