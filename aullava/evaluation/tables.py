"""Per-AU tables: rows are models and baselines, columns are Action Units and their average."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

WIDTH: Final = 100
"""Columns of the terminals that tables are made for."""

LONGEST_NAME: Final = 32
AVERAGE: Final = "avg"
NONE: Final = "-"
"""Stands where there is no support."""

STYLES: Final = MappingProxyType({"f1": ("F1 x 100", 100.0, 1), "mae": ("MAE", 1.0, 3), "pcc": ("PCC", 1.0, 3)})
"""Metric -> its title, the factor it is shown with, its decimals; F1 as the field's papers print it."""

Scores = Mapping[str, float]


def text_table(rows: Mapping[str, Scores], aus: Sequence[str], metric: str, width: int = WIDTH) -> str:
    """A table for the terminal; where the Action Units do not fit beside each other, in blocks one below the other.

    Args:
        rows: names of models and baselines -> scores as `ScoreBook.compute` gives them. The support is read
            off the first row.
        aus: codes of the Action Units, in order.
        metric: f1, mae or pcc.
        width: columns of the terminal, at least 60.

    Returns:
        Lines of at most `width` characters, with a last newline. "-" stands where there is no support.

    Raises:
        KeyError: a row without that metric, or a metric unknown here.

    Example:
        >>> scores = {"f1/AU1": 0.5, "f1/AU12": 0.9, "f1_macro": 0.7, "positives/AU1": 8.0, "positives/AU12": 20.0}
        >>> print(text_table({"AU-LLaVA": scores}, ["AU1", "AU12"], "f1"), end="")
        F1 x 100    AU1  AU12 |   avg
        -----------------------------
        AU-LLaVA   50.0  90.0 |  70.0
        positives     8    20 |
    """
