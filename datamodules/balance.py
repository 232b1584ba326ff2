"""Rare Action Units more often: how often each training row is drawn. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from datamodules.action_units import UNKNOWN

MOST: Final = 10.0
"""No row is drawn more than so many times as often as the average row; ours: else the one frame of an Action
Unit that hardly ever occurs would make up 1 / (2 x units) of all training."""


def presence_of(labels: npt.NDArray[np.float32], present_from: Sequence[float]) -> npt.NDArray[np.float32]:
    """Labels as present (1), absent (0) or UNKNOWN.

    Args:
        labels: [N, A] on any scale, UNKNOWN where not coded.
        present_from: for each column the smallest value that counts as present.

    Returns:
        float32 [N, A].
    """
    present = (labels >= np.asarray(present_from, dtype=np.float32)).astype(np.float32)
    present[labels == UNKNOWN] = UNKNOWN
    return present


def rare_weights(present: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """How often each row is to be drawn, relative to the average row.

    A row weighs the mean, over its coded Action Units, of the inverse frequency of what it shows: 1 / (2 x
    the share of rows with the same answer), so that for a single Action Unit presence and absence are drawn
    equally often. Capped at `MOST`.

    Args:
        present: [N, A], 1, 0 or UNKNOWN.

    Returns:
        float64 [N], mean about 1 (the cap takes a little off); 1 for rows without a known label.
    """
    total = np.zeros(len(present))
    coded = np.zeros(len(present))
    for column in present.T:  # one at a time: an index may have millions of rows
        known = column != UNKNOWN
        coded += known
        for answer in (0.0, 1.0):
            same = column == answer
            count = np.count_nonzero(same)
            if count:
                total[same] += np.count_nonzero(known) / (2 * count)
    weights = np.divide(total, coded, out=np.ones(len(present)), where=coded > 0)
    if len(weights):
        weights = np.minimum(weights / weights.mean(), MOST)
    return np.asarray(weights, dtype=np.float64)


def weighted_pass(weights: npt.NDArray[np.float64], generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """The rows of one pass, as many as there are weights, each as often as its weight says.

    Systematic sampling: a row whose share of the pass is 2.3 comes twice or three times, never otherwise, so
    that a pass differs from its expectation as little as whole draws allow.

    Args:
        weights: float [N], at least one above 0.
        generator: decides the roundings and the order.

    Returns:
        int64 [N].
    """
    edges = np.cumsum(weights) * (len(weights) / np.sum(weights))
    marks = np.arange(len(weights)) + generator.random()
    rows = np.minimum(np.searchsorted(edges, marks, side="right"), len(weights) - 1)
    return np.asarray(generator.permutation(rows), dtype=np.int64)
