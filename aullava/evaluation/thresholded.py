"""Scores of decisions at stored thresholds, and what the probabilities are worth.

They stand beside the scores of the raw answers under names of their own (`thresholded_f1`), since they are
other decisions about the same faces; nothing here ever goes under the name of a raw score.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from aullava.evaluation.answer_table import AnswerTable, Values
from aullava.evaluation.calibration import UnitCalibration, calibrated
from aullava.evaluation.curves import reliability
from aullava.evaluation.decisions import confusion, f1, f1_micro
from aullava.evaluation.per_au import macro
from datamodules.action_units import UNKNOWN

HALF = torch.tensor(0.5)


def calibrated_table(table: AnswerTable, units: Mapping[str, UnitCalibration]) -> Values:
    """The probabilities [N, A] after the temperatures; UNKNOWN for a unit without one."""
    found = np.full_like(table.probabilities, UNKNOWN)
    for at, code in enumerate(table.aus):
        if code in units:
            found[:, at] = calibrated(table.probabilities[:, at], units[code].temperature)
    return found


def thresholded_answers(table: AnswerTable, units: Mapping[str, UnitCalibration]) -> Values:
    """Present (1) or absent (0) at the stored thresholds, [N, A]; UNKNOWN where there is no probability."""
    scaled = calibrated_table(table, units)
    cuts = np.array([units[code].threshold if code in units else np.inf for code in table.aus])
    return np.where(scaled == UNKNOWN, UNKNOWN, (scaled >= cuts).astype(np.float64))


def unsure_answers(table: AnswerTable, units: Mapping[str, UnitCalibration]) -> npt.NDArray[np.bool_]:
    """Whether each decision [N, A] lies in its unit's unsure band."""
    scaled = calibrated_table(table, units)
    low = np.array([units[code].unsure_low if code in units else np.inf for code in table.aus])
    high = np.array([units[code].unsure_high if code in units else -np.inf for code in table.aus])
    return np.asarray((scaled != UNKNOWN) & (scaled >= low) & (scaled < high))


def thresholded_scores(table: AnswerTable, units: Mapping[str, UnitCalibration]) -> dict[str, float]:
    """Scores of a table of presence whose thresholds were chosen on other people.

    Returns:
        Flat names to values: `thresholded_f1` and `sure_f1` (without the unsure faces), `ece_raw` and `ece`
        (before and after the temperature, 15 equal bins) and `unsure` (share of the decisions), each per
        Action Unit and as `_macro`; `thresholded_f1_micro`.
    """
    said, labels = torch.from_numpy(thresholded_answers(table, units)), torch.from_numpy(table.labels)
    known = (said != UNKNOWN) & (labels != UNKNOWN)
    unsure = torch.from_numpy(unsure_answers(table, units)) & known
    counts = confusion(said, labels, known, HALF)
    columns = {
        "thresholded_f1": f1(counts),
        "sure_f1": f1(confusion(said, labels, known & ~unsure, HALF)),
        "ece_raw": _errors(table, table.probabilities),
        "ece": _errors(table, calibrated_table(table, units)),
        "unsure": unsure.sum(0) / known.sum(0),
    }
    scores: dict[str, float] = {}
    for name, values in columns.items():
        scores |= {f"{name}/{code}": one for code, one in zip(table.aus, values.tolist(), strict=True)}
        scores[f"{name}_macro"] = float(macro(values))
    return scores | {"thresholded_f1_micro": float(f1_micro(counts))}


def _errors(table: AnswerTable, probabilities: Values) -> torch.Tensor:
    """Expected calibration error of each column, float64 [A]; NaN without any pair."""
    found = []
    for at in range(len(table.aus)):
        known = (probabilities[:, at] != UNKNOWN) & (table.labels[:, at] != UNKNOWN)
        found.append(reliability(probabilities[known, at], table.labels[known, at] == 1).error)
    return torch.tensor(found, dtype=torch.float64)
