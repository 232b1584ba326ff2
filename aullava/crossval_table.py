"""The results of a cross-validation beside the floor and what was published, and their table as text."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aullava.evaluation.answer_table import AnswerTable, Terms
from aullava.evaluation.calibration import UnitCalibration
from aullava.evaluation.errors import ResultError
from aullava.evaluation.fold_scores import METRICS, FoldScores, constant, fold_scores
from aullava.evaluation.published import Published, PublishedRow, published
from aullava.evaluation.tables import STYLES, text_table
from aullava.evaluation.thresholded import thresholded_answers
from datamodules.action_units import UNKNOWN

OURS: Final = "AU-LLaVA"
THRESHOLDED: Final = "AU-LLaVA, thresholded"
FLOORS: Final = {"f1": ("always present", None), "mae": ("always 0", 0.0)}
_FLOOR_NAMES: Final = tuple(name for name, _ in FLOORS.values())
PUBLISHED: Final = "f1"
"""The metric of all published rows."""
NAME: Final = "crossval"
"""Of the files, before the dot."""
WIDTH: Final = 100
MIXED: Final = "MIXED"
"""What a note begins with that says in what the rows of a table differ."""
Scores = Mapping[str, float]


@dataclass(slots=True)
class DatasetResult:
    """The result of all folds about one dataset.

    Attributes:
        terms: of all folds.
        faces: tested; `people`: in them.
        rows: name -> scores over the folds: the answers as written, those at thresholds, constant ones.
        extra: rows of others, by name: published ones and other cross-validations.
        published: where the published rows come from; None: there are none in the table.
        notes: what must be read with the table.
    """

    terms: Terms
    faces: int
    people: int
    rows: dict[str, FoldScores]
    extra: dict[str, Scores] = field(default_factory=dict)
    published: Published | None = None
    notes: list[str] = field(default_factory=list)

    def folds(self) -> tuple[int, ...]:
        """Numbers of the folds."""
        return tuple(self.rows[OURS].folds)

    def groups(self) -> tuple[str, ...]:
        """The rows above which a line is drawn: the floors, and those of others."""
        return tuple([name for name in self.rows if name in _FLOOR_NAMES] + list(self.extra)[:1])

    def table(self, metric: str) -> dict[str, Scores]:
        """The rows that have a metric: over the folds, each fold, floors, others."""
        ours = self.rows[OURS]
        rows: dict[str, Scores] = {OURS: ours.mean}
        rows |= {name: one.mean for name, one in self.rows.items() if name == THRESHOLDED}
        rows |= {f"  fold {fold}": scores for fold, scores in ours.folds.items()}
        rows |= {name: one.mean for name, one in self.rows.items() if name not in rows}
        rows |= self.extra
        return {name: scores for name, scores in rows.items() if f"{metric}_macro" in scores}


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """The results of a cross-validation, by dataset."""

    results: dict[str, DatasetResult]

    @classmethod
    def of(
        cls,
        tables: Mapping[str, Mapping[int, AnswerTable]],
        calibrations: Mapping[str, Mapping[int, Mapping[str, UnitCalibration]]],
        beside: Sequence[Path] = (),
        allow_mixed: bool = False,
    ) -> CrossValidation:
        """Score the folds, and set others beside them that were reached on the same terms.

        Args:
            tables: dataset -> fold -> answers of its test.
            calibrations: dataset -> fold -> calibration.
            beside: folders of other cross-validations.
            allow_mixed: take in what was reached on other terms, and say in what they differ.

        Raises:
            ResultError: other terms, and mixing is not allowed; or a folder holds no cross-validation.
        """
        results = {}
        for name, folds in tables.items():
            result = _result(name, folds, calibrations.get(name, {}), allow_mixed)
            for folder in beside:
                _set_beside(result, name, folder, allow_mixed)
            _add_published(result, allow_mixed)
            results[name] = result
        return cls(results)


def told(found: CrossValidation) -> str:
    """The tables for a terminal."""
    parts = []
    for result in found.results.values():
        parts += [f"\n{line}" for line in heading(result)]
        for metric in METRICS[result.terms.scale]:
            parts.append("\n\n" + _text(result, metric))
            parts += [f"{line}\n" for line in intervals(result, metric)]
        parts += [f"{wrap}\n" for line in footnotes(result) for wrap in textwrap.wrap(line, WIDTH)]
    return "".join(parts)


def _result(
    name: str,
    tables: Mapping[int, AnswerTable],
    calibrations: Mapping[int, Mapping[str, UnitCalibration]],
    allow_mixed: bool,
) -> DatasetResult:
    first_fold, first = next(iter(tables.items()))
    notes = []
    for fold, table in tables.items():
        differences = first.terms.differences(table.terms)
        if differences and (not allow_mixed or table.aus != first.aus):
            raise _mixed(f"fold {first_fold}", f"fold {fold}", name, differences)
        notes += [f"{MIXED}: fold {fold} differs from fold {first_fold}: {'; '.join(differences)}"] * bool(
            differences
        )
    rows = {OURS: fold_scores(tables)}
    if calibrations.keys() == tables.keys():
        cut = {fold: thresholded_answers(table, calibrations[fold]) for fold, table in tables.items()}
        rows[THRESHOLDED] = fold_scores(tables, ("f1",), cut)
    for metric, (floor, value) in FLOORS.items():
        if metric in METRICS[first.terms.scale]:
            said = first.terms.present_from if value is None else value
            assert said is not None
            answers = {fold: constant(table, said) for fold, table in tables.items()}
            rows[floor] = fold_scores(tables, (metric,), answers)
    faces = sum(int((table.labels != UNKNOWN).any(1).sum()) for table in tables.values())
    people = len({one for table in tables.values() for one in table.subjects})
    return DatasetResult(first.terms, faces, people, rows, notes=notes)


def read_beside(folder: Path) -> dict[str, tuple[Terms, dict[str, float]]]:
    """Terms and scores of another cross-validation, by dataset.

    Raises:
        ResultError: the folder holds none.
    """
    path = folder / f"{NAME}.json"
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))["datasets"]
        return {
            name: (
                Terms.of(one["terms"]),
                {key: math.nan if v is None else v for key, v in one["rows"][OURS]["mean"].items()},
            )
            for name, one in plain.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultError(
            f"{folder} holds no cross-validation ({error}): give a folder with {path.name}"
        ) from None


def _set_beside(result: DatasetResult, name: str, folder: Path, allow_mixed: bool) -> None:
    found = read_beside(folder)
    if name not in found:
        return
    other, scores = found[name]
    differences = result.terms.differences(other)
    if differences and not allow_mixed:
        raise _mixed("this result", str(folder), name, differences)
    missing = {
        f"{metric}/{code}": math.nan for metric in METRICS[result.terms.scale] for code in result.terms.aus
    }
    result.extra[folder.name] = missing | scores
    if differences:
        result.notes.append(f"{MIXED}: {folder.name} differs: {'; '.join(differences)}")


def _add_published(result: DatasetResult, allow_mixed: bool) -> None:
    found = published(result.terms)
    if found is None:
        return
    differences = found.differences(result.terms, len(result.folds()))
    said = f"{'; '.join(differences)} (here / published)"
    if differences and not allow_mixed:
        result.notes.append(
            f"{len(found.rows)} published rows are left out: {said}; --allow-mixed shows them"
        )
        return
    if differences:
        result.notes.append(f"{MIXED}: the published rows differ: {said}")
    if found.faces is not None and found.faces != result.faces:
        result.notes.append(f"faces: {result.faces:,} here, {found.faces:,} in the published protocol")
    if found.floor is not None:
        result.notes.append(f"always present, in the published protocol: F1 x 100 {found.floor}")
    for row in found.rows:
        result.extra[published_name(row)] = row.as_scores(result.terms.aus)
    result.published = found


def _mixed(one: str, other: str, name: str, differences: Sequence[str]) -> ResultError:
    return ResultError(
        f"{one} and {other} about {name} were reached on other terms ({'; '.join(differences)}) and share no "
        "table: --allow-mixed sets them side by side and says so on it"
    )


def published_name(row: PublishedRow) -> str:
    """Of its row in a table: with the keys of its sources, and a star if something is to be said of it."""
    return f"{row.name} ({','.join(row.sources)}){'*' if row.caveat else ''}"


def heading(result: DatasetResult) -> list[str]:
    """What was tested, and its fingerprint."""
    terms = result.terms
    rule = "" if terms.present_from is None else f", present from {terms.present_from:g}"
    return [
        f"{terms.dataset}: {terms.scale}{rule}, {len(result.folds())} folds of {terms.protocol}, "
        f"{result.faces:,} faces of {result.people} people",
        f"fingerprint {terms.fingerprint()}",
    ]


def _text(result: DatasetResult, metric: str) -> str:
    return text_table(result.table(metric), result.terms.aus, metric, WIDTH, result.groups())


def intervals(result: DatasetResult, metric: str) -> Iterator[str]:
    """Our averages with the ends of their intervals."""
    title, factor, decimals = STYLES[metric]
    for name, scores in result.rows.items():
        if name in (OURS, THRESHOLDED) and (found := scores.intervals.get(f"{metric}_macro")) is not None:
            values = (scores.mean[f"{metric}_macro"], found.low, found.high)
            mean, low, high = (f"{value * factor:.{decimals}f}" for value in values)
            yield f"{name}: {title} {mean} [{low}, {high}], 95 % of the draws of people"


def footnotes(result: DatasetResult, metric: str = PUBLISHED) -> Iterator[str]:
    """What must be read with a table: notes, and below published rows their sources and caveats."""
    yield from result.notes
    if result.published is None or metric != PUBLISHED:
        return
    yield from (f"({key}) {where}" for key, where in result.published.sources.items())
    yield from (f"* {row.name}: {row.caveat}" for row in result.published.rows if row.caveat)
    yield from result.published.caveats
