"""Curves of probabilities: reliability and its error, precision against recall. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
BINS: Final = 15
"""Equal bins of [0, 1], as Guo et al., "On calibration of modern neural networks" (ICML 2017), count them."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often what was said with some probability was so.

    Attributes:
        counts: faces in each bin; `said`: their mean probability; `seen`: the share that is present; both
            NaN in an empty bin.
    """

    counts: Values
    said: Values
    seen: Values

    @property
    def error(self) -> float:
        """The expected calibration error: mean of |said - seen|, weighted by the faces; NaN without any."""
        filled = self.counts > 0
        if not filled.any():
            return float("nan")
        return float(np.average(np.abs(self.said - self.seen)[filled], weights=self.counts[filled]))


def reliability(probabilities: Values, truth: npt.NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Sort probabilities [N] into equal bins and look at what was true there.

    Args:
        probabilities: in [0, 1].
        truth: bool [N].
        bins: how many.
    """
    at = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    counts = np.bincount(at, minlength=bins).astype(np.float64)
    with np.errstate(invalid="ignore"):
        said = np.bincount(at, weights=probabilities, minlength=bins) / counts
        seen = np.bincount(at, weights=truth.astype(np.float64), minlength=bins) / counts
    return Reliability(counts, said, seen)


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Precision and recall when everything from a threshold on is called present; thresholds fall."""

    thresholds: Values
    precision: Values
    recall: Values


def precision_recall(scores: Values, truth: npt.NDArray[np.bool_]) -> PrecisionRecall:
    """The curve over all different scores [N]; empty when nothing is present."""
    if not truth.any():
        nothing = np.zeros(0)
        return PrecisionRecall(nothing, nothing, nothing)
    order = np.argsort(-scores, kind="stable")
    falling, found = scores[order], np.cumsum(truth[order])
    last = np.append(falling[1:] != falling[:-1], True)  # equal scores are called together
    called = np.flatnonzero(last) + 1
    return PrecisionRecall(falling[last], found[last] / called, found[last] / truth.sum())
