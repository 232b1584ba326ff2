"""`aullava subgroups`: how a tested run does for groups of faces or people."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

from aullava.answer_records import kept_answers
from aullava.evaluation.errors import ResultError
from aullava.evaluation.fold_scores import METRICS, FoldScores
from aullava.evaluation.subgroups import column_of, read_people, subgroups
from aullava.evaluation.tables import STYLES, text_table
from aullava.training.run_folder import write_text

FILE: Final = "subgroups.json"


def run_subgroups(run: Path, column: str, people: Path | None, draws: int) -> str:
    """Score the groups of a column on the answers of the last test; they join the run's subgroups.json.

    Args:
        run: its folder.
        column: an attribute that the dataset knows of its faces, or a column of `people`.
        people: a CSV with `subject` and attributes; None: those of the dataset alone.
        draws: of people, for the intervals.

    Returns:
        What is printed.

    Raises:
        ResultError: the run was not tested, or has no such column.
        ComparisonError: the CSV cannot be read.
    """
    known = {} if people is None else read_people(people)
    tables = kept_answers(run, "test")
    if not tables:
        raise ResultError(f"{run} has no answers of a test: run `aullava test {run}` first")
    columns = {name: column_of(table, column, known) for name, table in tables.items()}
    found = {name: subgroups(table, columns[name], draws) for name, table in tables.items()}
    _keep(run, column, found)
    parts = []
    for name, groups in found.items():
        table = tables[name]
        parts.append(f"\n{name}: {table.terms.scale}, by {column}, {len(table):,} faces\n")
        for metric in METRICS[table.terms.scale]:
            rows = {group: scores.mean for group, scores in groups.items()}
            parts.append("\n" + text_table(rows, table.aus, metric, supports=True))
            parts += [f"{_line(group, scores, metric)}\n" for group, scores in groups.items()]
    return "".join(parts) + "in brackets: 95 % of the draws of people\n"


def _line(group: str, scores: FoldScores, metric: str) -> str:
    title, factor, decimals = STYLES[metric]
    band = scores.intervals[f"{metric}_macro"]
    mean, low, high = (
        f"{value * factor:.{decimals}f}" for value in (scores.mean[f"{metric}_macro"], band.low, band.high)
    )
    size = f"{scores.mean['faces']:,.0f} faces of {scores.mean['people']:.0f} people"
    return f"{group}: {size}, {title} {mean} [{low}, {high}]"


def _keep(run: Path, column: str, found: dict[str, dict[str, FoldScores]]) -> None:
    path = run / FILE
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        for name, groups in found.items():
            known.setdefault(name, {})[column] = {
                group: {
                    "scores": {key: None if math.isnan(v) else v for key, v in scores.mean.items()},
                    "intervals": {
                        key: None if math.isnan(one.low) else [one.low, one.high]
                        for key, one in scores.intervals.items()
                    },
                }
                for group, scores in groups.items()
            }
    except (ValueError, AttributeError) as error:
        raise ResultError(f"{path} is damaged ({error}): delete it and ask again") from None
    write_text(path, json.dumps(known, indent=1, ensure_ascii=False) + "\n")
