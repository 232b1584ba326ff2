"""`aullava test RUN data=NAME`: a run on a dataset that it never saw, over the Action Units that both know.

Everybody in that dataset is tested, but people whom the run has learned from or was chosen on (DISFA+ shows
people of DISFA). Where the run does not answer on the dataset's scale, presence is asked for. A dataset that
the run was trained on keeps the protocol of the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from aullava.answer_records import answer_tables, keep_answers
from aullava.config.load import resolve, resolve_elsewhere
from aullava.config.schema import Config
from aullava.evaluation.answer_table import AnswerTable
from aullava.evaluation.calibration import UnitCalibration, read_calibration
from aullava.evaluation.errors import ResultError
from aullava.evaluation.fold_scores import METRICS, FoldScores, constant, fold_scores
from aullava.evaluation.tables import STYLES, text_table
from aullava.evaluation.thresholded import thresholded_answers, thresholded_scores
from aullava.jobs import refuse_unfinished, score
from aullava.parts import ready_data
from aullava.training.processes import joined
from aullava.training.run_folder import update_result
from aullava.vocabulary import vocabulary
from datamodules.action_units import Scale
from datamodules.base import AUDataModule
from datamodules.mixture import Mixture
from datamodules.protocols import Split

CROSS: Final = "cross"
"""Of the folder of the answers, and of the names of the scores in a result."""
UNSEEN: Final = "unseen_people v1"


def run_elsewhere(run: Path, overrides: Sequence[str]) -> str:
    """Test a run on other datasets; scores join its result.json as ``cross/<dataset>/<score>``.

    Args:
        run: its folder.
        overrides: ``data=NAME`` and changes of the config.

    Returns:
        What is printed: a table for each dataset; nothing in a process that does not write.

    Raises:
        ResultError: no Action Unit or no format in common, or nobody who is new to the run.
        RunError: the run was not fitted to its end.
    """
    refuse_unfinished(run)
    own = resolve(run / "config.yaml", (), vocabulary()).config
    config = resolve_elsewhere(run / "config.yaml", overrides, vocabulary()).config
    with joined(config.strategy, config.trainer.accelerator) as processes:
        trained = ready_data(own, "fit", processes)
        new = [name for name in config.data.datasets if name not in own.data.datasets]
        _ask_what_is_shared(config, new, ready_data(config, "test", processes), trained)
        data = ready_data(config, "test", processes)
        learned = {
            one.identity(who) for one in trained.datasets for who in (*one.split.train, *one.split.val)
        }
        for one in data.datasets:
            if one.name in new:
                _keep_unseen(one, learned)
        rows = score(config, run, data, "test").rows
    if not processes.writes:
        return ""
    tables = {name: _on_terms(table, new) for name, table in answer_tables(rows, data, "test").items()}
    keep_answers(run, CROSS, tables)
    units = _units(run)
    results = {name: _rows(table, units) for name, table in tables.items()}
    update_result(run, _flat(tables, results, units))
    return "".join(_told(table, results[name], trained) for name, table in tables.items())


def _ask_what_is_shared(config: Config, new: Sequence[str], data: Mixture, trained: Mixture) -> None:
    """Set Action Units and format of the new datasets in `data` to what the run has learned to answer."""
    known: dict[Scale, set[str]] = {}
    for member in trained.members:
        known.setdefault(member.coded_scale(), set()).update(member.asked_aus)
    for member in data.members:
        if member.name not in new:
            continue
        dataset = config.data.datasets[member.name]
        scale = member.coded_scale()
        if dataset.formats is not None:
            scale = Scale(dataset.formats[0])
        elif scale not in known:
            scale = Scale.PRESENCE
        shared = [code for code in member.asked_aus if code in known.get(scale, ())]
        if not shared:
            said = "; ".join(f"{one}: {', '.join(sorted(codes))}" for one, codes in known.items())
            raise ResultError(
                f"the run answers about no Action Unit of '{member.name}' ({', '.join(member.asked_aus)}) as "
                f"{scale}: it has learned {said}"
            )
        dataset.aus, dataset.formats = shared, [scale.value]


def _keep_unseen(dataset: AUDataModule, learned: set[str]) -> None:
    people = [who for who in dataset.index.people() if dataset.identity(who) not in learned]
    if not people:
        raise ResultError(f"the run has learned from everybody in '{dataset.name}': nobody is left to test")
    dataset.keep(Split((), (), tuple(people)))


def _on_terms(table: AnswerTable, new: Sequence[str]) -> AnswerTable:
    """A table of a new dataset says who was tested in place of the dataset's own protocol."""
    if table.terms.dataset.partition(".")[0] not in new:
        return table
    people = hashlib.sha256(repr(sorted(set(table.subjects))).encode()).hexdigest()[:16]
    return replace(table, terms=replace(table.terms, protocol=UNSEEN, folds=people), fold=1)


def _units(run: Path) -> dict[str, UnitCalibration]:
    """The calibration of each Action Unit, of the first training dataset that has it."""
    found: dict[str, UnitCalibration] = {}
    for units in read_calibration(run).values():
        found = units | found
    return found


def _rows(table: AnswerTable, units: Mapping[str, UnitCalibration]) -> dict[str, FoldScores]:
    rows = {"AU-LLaVA": fold_scores({1: table})}
    if table.terms.scale is Scale.PRESENCE and set(table.aus) <= set(units):
        cut = {1: thresholded_answers(table, units)}
        rows["AU-LLaVA, thresholded"] = fold_scores({1: table}, ("f1",), cut)
    if table.terms.present_from is not None:
        floor = {1: constant(table, table.terms.present_from)}
        rows["always present"] = fold_scores({1: table}, ("f1",), floor)
    return rows


def _flat(
    tables: Mapping[str, AnswerTable],
    results: Mapping[str, Mapping[str, FoldScores]],
    units: Mapping[str, UnitCalibration],
) -> dict[str, float]:
    scores: dict[str, float] = {}
    for name, rows in results.items():
        found = dict(rows["AU-LLaVA"].mean)
        if "AU-LLaVA, thresholded" in rows:
            found |= thresholded_scores(tables[name], units)
        if "always present" in rows:
            found["always_present_f1_macro"] = rows["always present"].mean["f1_macro"]
        scores |= {f"{CROSS}/{name}/{key}": value for key, value in found.items()}
    return scores


def _told(table: AnswerTable, rows: Mapping[str, FoldScores], trained: Mixture) -> str:
    learned = ", ".join(one.name for one in trained.datasets)
    head = f"{table.terms.dataset}: {table.terms.scale}, {len(table):,} faces of {table.people()} people"
    lines = [f"\n{head}; the run was trained on {learned}\nfingerprint {table.terms.fingerprint()}\n"]
    for metric in METRICS[table.terms.scale]:
        shown = {name: one.mean for name, one in rows.items() if f"{metric}_macro" in one.mean}
        lines.append("\n" + text_table(shown, table.aus, metric))
        title, factor, decimals = STYLES[metric]
        band = rows["AU-LLaVA"].intervals[f"{metric}_macro"]
        low, high = (f"{end * factor:.{decimals}f}" for end in (band.low, band.high))
        lines.append(f"AU-LLaVA: {title} in [{low}, {high}] for 95 % of the draws of people\n")
    return "".join(lines)
