"""The scores of all folds of a protocol, as the field reports them, with intervals by drawing people.

Within a fold counts are pooled over its test faces and give a score per Action Unit; a unit's score is the
mean over the folds in which it has support, the average is the mean over the folds of their means over units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from torch import Tensor

from aullava.evaluation.answer_table import AnswerTable, Values
from aullava.evaluation.bootstrap import DRAWS, Interval, draw_people, interval, numbered
from aullava.evaluation.drawn_scores import drawn_amounts, drawn_f1
from datamodules.action_units import UNKNOWN, Scale

METRICS: Final = MappingProxyType(
    {Scale.PRESENCE: ("f1",), Scale.LEVEL: ("f1", "icc", "mae"), Scale.INTENSITY: ("icc", "pcc", "mae")}
)
"""What is reported for each scale."""

Answers = Callable[[AnswerTable], Values]


@dataclass(frozen=True, slots=True)
class FoldScores:
    """Scores under the flat names of a score book.

    Attributes:
        folds: number of the fold -> its scores.
        mean: over the folds.
        intervals: the names in `mean` -> where 95 % of the draws of people lie.
    """

    folds: dict[int, dict[str, float]]
    mean: dict[str, float]
    intervals: dict[str, Interval]


def fold_scores(
    tables: Mapping[int, AnswerTable],
    metrics: Sequence[str] | None = None,
    answers: Mapping[int, Values] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> FoldScores:
    """Score the folds of one dataset.

    Args:
        tables: number of the fold -> its answers; all on the same terms.
        metrics: f1, icc, pcc, mae; None: what `METRICS` says of the scale.
        answers: other answers than those of the tables, [N, A] each: at thresholds, or constant ones.
        draws: of people, in every fold as many as it has.
        seed: of the draws.
    """
    first = next(iter(tables.values()))
    wanted = metrics or METRICS[first.terms.scale]
    whole: dict[str, list[Tensor]] = {name: [] for name in wanted}
    spread: dict[str, list[Tensor]] = {name: [] for name in wanted}
    for fold, table in tables.items():
        given = table.answers if answers is None else answers[fold]
        pairs = _pairs(table, given)
        who, people = numbered(table.subjects)
        drawn = who, people, draw_people(people, draws, seed + fold)
        amounts = [name for name in wanted if name != "f1"]
        scored = drawn_amounts(amounts, pairs, *drawn) if amounts else {}
        if "f1" in wanted:
            assert table.terms.present_from is not None, "intensities have no F1"
            scored["f1"] = drawn_f1(pairs, table.terms.present_from, *drawn)
        for name, (score, of_draws) in scored.items():
            whole[name].append(score)
            spread[name].append(of_draws)
    support = [_support(table) for table in tables.values()]
    folds = {fold: dict(counts) for fold, counts in zip(tables, support, strict=True)}
    mean = {key: float(sum(counts[key] for counts in support)) for key in support[0]}
    intervals: dict[str, Interval] = {}
    for name in wanted:
        for fold, score in zip(tables, whole[name], strict=True):
            folds[fold] |= _flat(name, first.aus, score, score.nanmean(-1))
        each, average = torch.stack(whole[name]).nanmean(0), torch.stack(whole[name]).nanmean(-1).nanmean(0)
        mean |= _flat(name, first.aus, each, average)
        stacked = torch.stack(spread[name])  # folds, draws, units
        for code, column in zip(first.aus, stacked.nanmean(0).unbind(-1), strict=True):
            intervals[f"{name}/{code}"] = interval(column)
        intervals[f"{name}_macro"] = interval(stacked.nanmean(-1).nanmean(0))
    return FoldScores(folds, mean, intervals)


def constant(table: AnswerTable, value: float) -> Values:
    """The same answer everywhere, [N, A]."""
    return np.full_like(table.labels, value)


def _pairs(table: AnswerTable, answers: Values) -> tuple[Tensor, Tensor, Tensor]:
    said, labels = torch.from_numpy(np.asarray(answers)), torch.from_numpy(np.asarray(table.labels))
    return said, labels, (said != UNKNOWN) & (labels != UNKNOWN)


def _support(table: AnswerTable) -> dict[str, float]:
    known = table.labels != UNKNOWN
    counts = {f"support/{code}": float(n) for code, n in zip(table.aus, known.sum(0), strict=True)}
    if table.terms.present_from is not None:
        present = (known & (table.labels >= table.terms.present_from)).sum(0)
        counts |= {f"positives/{code}": float(n) for code, n in zip(table.aus, present, strict=True)}
    return counts


def _flat(name: str, aus: Sequence[str], values: Tensor, average: Tensor) -> dict[str, float]:
    each = {f"{name}/{code}": value for code, value in zip(aus, values.tolist(), strict=True)}
    return each | {f"{name}_macro": float(average)}
