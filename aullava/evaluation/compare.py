"""Predictions of several programs against the same labels, so that nothing but the programs differs.

* the same frames: a cell counts where its label is known and every file that has the Action Unit knows it;
* one set of Action Units: the average is over those that every file has; a missing one is NaN;
* one threshold rule for all: present is a presence of 1, a probability of 0.5 and above, a level of 2 (or
  what the caller says) and above, whatever a program thinks of its own values;
* paired intervals: all files are scored on the same draws of people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from aullava.evaluation.answer_files import LEVEL, PRESENCE, PROBABILITY, Predictions, read_predictions
from aullava.evaluation.bootstrap import Interval, draw_people, interval, numbered
from aullava.evaluation.drawn_scores import drawn_amounts, drawn_f1
from aullava.evaluation.errors import ComparisonError
from aullava.evaluation.label_files import Labels
from datamodules.action_units import Scale

_MEANINGS: Final = {
    Scale.PRESENCE: (PRESENCE, PROBABILITY, LEVEL),
    Scale.LEVEL: (LEVEL, PRESENCE, PROBABILITY),
    Scale.INTENSITY: (),
}
"""Which of a program's values decide about presence, the first that it has."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How the comparison is made.

    Attributes:
        level_from: the level from which an Action Unit counts as present.
        first_frame: the number that the labels give the first frame of a video.
        common: score only the frames that every file has, instead of refusing.
        draws: of people.
        seed: of the draws.
    """

    level_from: float = 2.0
    first_frame: int = 1
    common: bool = False
    draws: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one file: per unit, the average with its interval, the difference to the first file."""

    per_au: dict[str, float]
    average: float
    interval: Interval
    difference: float
    difference_interval: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out.

    Attributes:
        aus: the Action Units of the labels.
        averaged: those of them that every file has.
        scores: metric (f1, mae, pcc, icc) -> file -> score; a file without values of the labels' scale is in
            no mae, pcc and icc.
        support: Action Unit -> cells scored; `positives`: those of them present (0 for intensities).
        frames: scored; `people`: in them.
        left_out: file -> labelled frames that it does not have.
        unknown: file -> share of the labelled cells of its Action Units in which it has no value.
    """

    aus: tuple[str, ...]
    averaged: tuple[str, ...]
    scores: dict[str, dict[str, Score]]
    support: dict[str, int]
    positives: dict[str, int]
    frames: int
    people: int
    left_out: dict[str, int]
    unknown: dict[str, float]


def compare(files: Sequence[Path], labels: Labels, rule: Rule) -> Comparison:
    """Score files of predictions against the same labels.

    Args:
        files: CSVs of `aullava predict`, OpenFace, py-feat or LibreFace; others are set beside the first.
        labels: as `label_files.read_labels` gives them.
        rule: thresholds and draws.

    Raises:
        ComparisonError: a file cannot be read, one stands twice, or files and labels do not pair up.
    """
    names = [str(path) for path in files]
    if len(set(names)) < len(names):
        raise ComparisonError(f"{max(names, key=names.count)} is given twice: compare different files")
    found = [read_predictions(path, labels.by, rule.first_frame) for path in files]
    rows, left_out = _paired(found, labels, rule.common)
    labels = labels.rows(rows)
    decided = np.stack([_values(one, labels, _MEANINGS[labels.scale], rule.level_from) for one in found])
    amounts = np.stack([_values(one, labels, _amount(labels.scale), None) for one in found])
    values = amounts if labels.scale is Scale.INTENSITY else decided
    has = ~np.isnan(values).all(1)  # file, Action Unit
    coded = ~np.isnan(labels.values)
    known = coded & (~np.isnan(values) | ~has[:, None]).all(0) & has.any(0)
    _refuse_nothing(names, has, known, labels)
    scorer = _Scorer(labels, torch.from_numpy(known), names, torch.from_numpy(has), rule)
    scores = scorer.amounts(amounts) if labels.scale is not Scale.PRESENCE else {}
    if labels.scale is not Scale.INTENSITY:
        scores = {"f1": scorer.decisions(decided)} | scores
    present = known & (labels.values >= scorer.present_from)
    unknown = {
        name: float((np.isnan(one) & coded)[:, own].sum() / max(coded[:, own].sum(), 1))
        for name, one, own in zip(names, values, has, strict=True)
    }
    return Comparison(
        labels.aus,
        tuple(code for code, every in zip(labels.aus, has.all(0), strict=True) if every),
        scores,
        dict(zip(labels.aus, known.sum(0).tolist(), strict=True)),
        dict(zip(labels.aus, present.sum(0).tolist(), strict=True)),
        int(known.any(1).sum()),
        scorer.people,
        left_out,
        unknown,
    )


class _Scorer:
    """Scores all files on the same cells and the same draws of people."""

    def __init__(self, labels: Labels, known: Tensor, names: Sequence[str], has: Tensor, rule: Rule) -> None:
        self.names, self.has, self.aus = names, has, labels.aus
        rows = known.any(1)
        self.rows, self.known = rows, known[rows]
        self.target = torch.from_numpy(labels.values).nan_to_num(nan=0.0)[rows]
        who, self.people = numbered([labels.subjects[at] for at in rows.nonzero().flatten().tolist()])
        self._drawn = who, self.people, draw_people(self.people, rule.draws, rule.seed)
        self.present_from = rule.level_from if labels.scale is Scale.LEVEL else 0.5

    def decisions(self, values: np.ndarray) -> dict[str, Score]:
        """F1 of 0/1 decisions [F, N, A]."""
        truth = (self.target >= self.present_from).to(torch.float64)
        found = [drawn_f1(pairs, 0.5, *self._drawn) for pairs in self._pairs(values, truth)]
        return self._scores(found, self.has)

    def amounts(self, values: np.ndarray) -> dict[str, dict[str, Score]]:
        """MAE, PCC and ICC of values on the labels' scale [F, N, A]."""
        has = torch.from_numpy(~np.isnan(values).all(1))
        metrics = ("mae", "pcc", "icc")
        found = [drawn_amounts(metrics, pairs, *self._drawn) for pairs in self._pairs(values, self.target)]
        return {name: self._scores([one[name] for one in found], has) for name in metrics}

    def _pairs(self, values: np.ndarray, target: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        found = torch.from_numpy(values)[:, self.rows]
        return [(one.nan_to_num(nan=0.0), target, self.known & ~one.isnan()) for one in found]

    def _scores(self, found: Sequence[tuple[Tensor, Tensor]], has: Tensor) -> dict[str, Score]:
        taking_part = has.any(1)
        every = has[taking_part].all(0)
        scores: dict[str, Score] = {}
        first: tuple[float, Tensor] | None = None
        for at in taking_part.nonzero().flatten().tolist():
            whole, draws = found[at]
            per_au = whole.where(has[at], torch.nan)
            average, spread = float(per_au[every].nanmean()), draws[:, every].nanmean(1)
            first = first or (average, spread)
            scores[self.names[at]] = Score(
                dict(zip(self.aus, per_au.tolist(), strict=True)),
                average,
                interval(spread),
                average - first[0],
                interval(spread - first[1]),
            )
        return scores


def _paired(found: Sequence[Predictions], labels: Labels, common: bool) -> tuple[list[int], dict[str, int]]:
    """The rows of the labels that every file has, and how many each file lacks."""
    left_out = {}
    for one in found:
        missing = [name for name in labels.names if name not in one.frames]
        left_out[str(one.path)] = len(missing)
        if len(missing) == len(labels.names):
            raise ComparisonError(
                f"{one.path} has none of the {labels.by}s of {labels.path} (they begin with "
                f"'{labels.names[0]}', its own with '{next(iter(one.frames))}'): name them alike"
            )
        if missing and not common:
            line = labels.lines[labels.names.index(missing[0])]
            raise ComparisonError(
                f"{one.path} lacks {len(missing)} of {len(labels.names)} rows of {labels.path}, the first is "
                f"'{missing[0]}' in line {line}: complete it, or score what all have with --common"
            )
    rows = [at for at, name in enumerate(labels.names) if all(name in one.frames for one in found)]
    if not rows:
        raise ComparisonError(f"no row of {labels.path} is in every file: give files of the same frames")
    return rows, left_out


def _refuse_nothing(names: Sequence[str], has: np.ndarray, known: np.ndarray, labels: Labels) -> None:
    for name, own in zip(names, has, strict=True):
        if not own.any():
            raise ComparisonError(
                f"{name} has no value that can be scored against the Action Units of {labels.path} "
                f"({', '.join(labels.aus)}, {labels.scale}): give predictions of these, or say --scale"
            )
    if not has.all(0).any():
        raise ComparisonError(f"no Action Unit of {labels.path} is in every file: compare fewer files")
    if not known.any():
        raise ComparisonError(f"no labelled cell of {labels.path} has a value in every file: nothing is left")


def _amount(scale: Scale) -> tuple[str, ...]:
    return () if scale is Scale.PRESENCE else (scale.value,)


def _values(
    one: Predictions, labels: Labels, meanings: Sequence[str], level_from: float | None
) -> np.ndarray:
    """A file's values in the rows and columns of the labels, float64 [N, A]; decided with `level_from`."""
    table = np.full((len(labels.names), len(labels.aus)), np.nan)
    for column, code in enumerate(labels.aus):
        meaning = next((word for word in meanings if code in one.values.get(word, {})), None)
        if meaning is None:
            continue
        said = one.values[meaning][code]
        cells = np.array([said.get(name, np.nan) for name in labels.names])
        if level_from is not None:
            cut = level_from if meaning == LEVEL else 0.5
            cells = np.where(np.isnan(cells), np.nan, cells >= cut)
        table[:, column] = cells
    return table
