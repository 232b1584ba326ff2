"""Keeps what a run answered, face by face, and the calibration that follows from its validation people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import numpy as np

from aullava.evaluation.answer_table import AnswerTable, Terms
from aullava.evaluation.calibration import (
    FILE,
    UnitCalibration,
    as_text,
    fit_calibration,
    read_calibration,
)
from aullava.evaluation.errors import ResultError
from aullava.evaluation.rows import row_key
from aullava.evaluation.scores import PRESENT_FROM
from aullava.evaluation.thresholded import thresholded_scores
from aullava.training.module import Rows
from aullava.training.run_folder import known_result, write_text
from datamodules.action_units import Scale
from datamodules.base import AUDataModule
from datamodules.formats import InFormat, thresholds
from datamodules.mixture import Mixture
from datamodules.whole_file import whole_file

FOLDER: Final = "answers"
LAST_SCORE: Final = "invalid_rate"
"""A score that every dataset has."""
Part = Literal["val", "test"]


def answer_tables(rows: Mapping[str, Rows], data: Mixture, part: Part) -> dict[str, AnswerTable]:
    """The answers of the last validation or test with the names of faces and people beside them.

    Args:
        rows: as the Lightning module keeps them.
        data: set up; what was asked about.
        part: which people were asked about.

    Raises:
        ResultError: answers and faces do not pair up.
    """
    return {one.name: _table(rows[one.name], one, part) for one in data.members if one.name in rows}


def terms_of(member: AUDataModule, limit: int | None = None) -> Terms:
    """What the results of a dataset may be compared with.

    Args:
        member: set up.
        limit: the largest number of test faces.
    """
    dataset = member.source if isinstance(member, InFormat) else member
    protocol = dataset.protocol(dataset.settings.protocol or dataset.protocols[0], member.index.people())
    scale = member.coded_scale()
    return Terms(
        dataset=member.name,
        protocol=f"{protocol.name} v{protocol.version}",
        folds=protocol.fingerprint(),
        aus=member.asked_aus,
        scale=scale,
        present_from=PRESENT_FROM.get(scale),
        data=member.index.fingerprint(),
        faces=limit,
        derived_from=thresholds(dataset) if isinstance(member, InFormat) else None,
    )


def keep_answers(run: Path, folder: str, tables: Mapping[str, AnswerTable]) -> None:
    """Write tables to `answers/<folder>/<dataset>.parquet` of a run, each whole or not at all."""
    for name, table in tables.items():
        path = answers_path(run, folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            table.write(temporary)


def answers_path(run: Path, folder: str, dataset: str) -> Path:
    """Where the answers of a run about a dataset lie."""
    return run / FOLDER / folder / f"{dataset}.parquet"


def kept_answers(run: Path, folder: str) -> dict[str, AnswerTable]:
    """What `keep_answers` wrote, by dataset; empty if there is nothing.

    Raises:
        ResultError: a file is damaged.
    """
    files = sorted((run / FOLDER / folder).glob("*.parquet"))
    return {path.stem: AnswerTable.read(path) for path in files}


def is_tested(run: Path) -> bool:
    """Whether everything that a run was validated on was tested to the end: its scores are written last.

    Raises:
        RunError: its result.json is damaged.
    """
    result = known_result(run)
    asked = sorted(path.stem for path in (run / FOLDER / "val").glob("*.parquet"))
    return bool(asked) and all(
        answers_path(run, "test", name).is_file() and f"test/{name}/{LAST_SCORE}" in result for name in asked
    )


def keep_validation(run: Path, rows: Mapping[str, Rows], data: Mixture, always: bool = False) -> bool:
    """Keep the answers of a validation and calibrate on them: on the inner validation people only.

    Args:
        run: its folder.
        rows: as the Lightning module keeps them.
        data: set up; what was asked about.
        always: also if what is kept already rests on more labels: the weights are others.

    Returns:
        Whether they were kept. A quick look at a few faces does not replace a calibration on many.
    """
    tables = answer_tables(rows, data, "val")
    units = {name: fit_calibration(table) for name, table in tables.items() if _is_calibrated(table)}
    if not always and _labels(units) < _labels(read_calibration(run)):
        return False
    keep_answers(run, "val", tables)
    if units:
        write_text(run / FILE, as_text(units))
    return True


def keep_test(run: Path, rows: Mapping[str, Rows], data: Mixture) -> dict[str, float]:
    """Keep the answers of a test.

    Returns:
        The scores of decisions at the stored thresholds: ``test/<dataset>/thresholded_f1_macro``, ...
    """
    tables = answer_tables(rows, data, "test")
    keep_answers(run, "test", tables)
    return calibrated_scores(run, "test", tables)


def calibrated_scores(run: Path, stage: str, tables: Mapping[str, AnswerTable]) -> dict[str, float]:
    """``<stage>/<dataset>/<score>`` of the tables that the run has a calibration for."""
    units, found = read_calibration(run), dict[str, float]()
    for name, table in tables.items():
        if name in units and table.has_probabilities:
            scores = thresholded_scores(table, units[name])
            found |= {f"{stage}/{name}/{score}": value for score, value in scores.items()}
    return found


def _labels(found: Mapping[str, Mapping[str, UnitCalibration]]) -> int:
    return sum(one.labels for units in found.values() for one in units.values())


def _is_calibrated(table: AnswerTable) -> bool:
    return table.terms.scale is Scale.PRESENCE and table.has_probabilities


def _table(rows: Rows, member: AUDataModule, part: Part) -> AnswerTable:
    keys, answers, labels, probabilities = (one.cpu().numpy() for one in rows)
    limit = member.loading.limit(part)
    index, asked = member.index, np.asarray(member.rows(part, limit))
    if not len(asked):
        raise ResultError(f"dataset '{member.name}' has nobody in its {part} part: take another fold")
    places = {float(row_key(str(index.sample_ids[row]))): row for row in asked}
    if len(keys) != len(asked) or not places.keys() >= set(keys.tolist()):
        raise ResultError(
            f"{len(asked)} faces of '{member.name}' were asked about and {len(keys)} answers came back: "
            "answers and faces do not pair up, score the run again"
        )
    order = np.argsort([places[key] for key in keys.tolist()], kind="stable")
    numbers = np.array([places[key] for key in keys[order].tolist()])
    found = index.rows(numbers)
    return AnswerTable(
        terms=terms_of(member, limit),
        fold=member.settings.fold,
        sample_ids=found.sample_ids.tolist(),
        subjects=found.subjects.tolist(),
        labels=labels[order],
        answers=answers[order],
        probabilities=probabilities[order],
        attributes={name: column.tolist() for name, column in found.attributes.items()},
    )
