"""Which Action Units come together. NumPy only."""

from __future__ import annotations

import numpy as np

from aullava.evaluation.answer_table import Values
from datamodules.action_units import UNKNOWN


def co_occurrence(values: Values, labels: Values, present_from: float) -> Values:
    """[A, A]: of the faces that show the row's unit, the share that shows the column's; NaN without any.

    Args:
        values: labels or answers [N, A].
        labels: [N, A]; cells that nobody coded count in neither.
        present_from: the smallest value that counts as present.
    """
    known = (labels != UNKNOWN) & (values != UNKNOWN)
    shown = ((values >= present_from) & known).astype(np.float64)
    with np.errstate(invalid="ignore"):
        found: Values = (shown.T @ shown) / (shown.T @ known.astype(np.float64))
    return found
