"""One number by which the validations of a run are compared: which weights it reports hangs on it alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from aullava.evaluation.agreement import CORRELATIONS, ERRORS
from aullava.evaluation.decisions import PER_AU
from aullava.evaluation.ranking import RANKINGS
from datamodules.action_units import Scale

BEST: Final = "best"
LAST: Final = "last"
HEADLINES: Final = MappingProxyType(
    {Scale.PRESENCE: "f1_macro", Scale.LEVEL: "f1_macro", Scale.INTENSITY: "icc_macro"}
)
"""What `best` takes the mean of over the datasets; each is 1 where every answer is right."""
LOWER: Final = frozenset({*ERRORS, "invalid_rate", "uncertified_rate"})
HIGHER: Final = frozenset({*PER_AU, *RANKINGS, *CORRELATIONS, "f1_micro", "f1_at_threshold"})


@dataclass(frozen=True, slots=True)
class Chosen:
    """The validation whose weights a run reports.

    Attributes:
        step: optimiser steps done.
        score: that it reached.
        by: `BEST`, or the name of the score.
    """

    step: int
    score: float
    by: str


def validation_score(scores: Mapping[str, float], by: str, scales: Mapping[str, Scale]) -> float:
    """The number by which a validation is compared with the others of its run.

    Args:
        scores: of the validation, ``val/<dataset>/<score>``.
        by: `BEST`, the mean over the datasets of their `HEADLINES` that have support; or one of the names.
        scales: dataset -> what its answers are.

    Returns:
        NaN without any support.
    """
    if by != BEST:
        return scores.get(by, math.nan)
    found = [scores.get(f"val/{name}/{HEADLINES[scale]}", math.nan) for name, scale in scales.items()]
    known = [score for score in found if not math.isnan(score)]
    return math.fsum(known) / len(known) if known else math.nan


def is_better(score: float, than: float | None, by: str) -> bool:
    """Whether a score is at least as good as the best one so far, None for none.

    Of equal ones the later counts: a young model that calls nothing present has an F1 of 0 again and again.
    """
    if math.isnan(score):
        return False
    if than is None:
        return True
    return score <= than if _kind(by) in LOWER else score >= than


def to_choose_by(names: Iterable[str]) -> list[str]:
    """The names of scores of which it is known whether more or less is better."""
    return [name for name in names if _kind(name) in LOWER | HIGHER]


def _kind(name: str) -> str:
    """``val/disfa/icc/AU12`` and ``val/disfa/icc_macro`` are both of `icc`."""
    return name.split("/")[2].removesuffix("_macro") if name.count("/") >= 2 else name
