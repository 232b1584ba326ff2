"""The files of a cross-validation: text, Markdown, LaTeX, CSV and JSON, each with all that its rows need.

Whoever takes one along has the fingerprint, the sources of published rows and what is to be said of them:
in LaTeX below the table, in CSV in columns of their own.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from aullava.crossval_table import (
    MIXED,
    NAME,
    CrossValidation,
    DatasetResult,
    footnotes,
    heading,
    intervals,
    published_name,
    told,
)
from aullava.evaluation.bootstrap import Interval
from aullava.evaluation.fold_scores import METRICS
from aullava.evaluation.published import PublishedRow
from aullava.evaluation.tables import latex_table, latex_text, markdown_table
from aullava.training.run_folder import write_text

COLUMNS: Final = (
    "dataset",
    "fingerprint",
    "row",
    "metric",
    "au",
    "value",
    "low",
    "high",
    "sources",
    "notes",
)


def write_tables(found: CrossValidation, folder: Path) -> None:
    """Write ``crossval.txt``, ``.md``, ``.tex``, ``.csv`` and ``.json``, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {".txt": told(found).lstrip("\n"), ".md": _markdown(found), ".tex": _latex(found)}
    texts |= {".csv": _csv(found), ".json": _json(found)}
    for suffix, text in texts.items():
        write_text(folder / f"{NAME}{suffix}", text)


def _markdown(found: CrossValidation) -> str:
    parts = []
    for result in found.results.values():
        dataset, fingerprint = heading(result)
        parts.append(f"## {dataset}\n\n`{fingerprint}`\n")
        for metric in METRICS[result.terms.scale]:
            parts.append(markdown_table(result.table(metric), result.terms.aus, metric))
            parts.append("\n".join(f"* {line}" for line in intervals(result, metric)) + "\n")
        parts.append("\n".join(f"* {line.removeprefix('* ')}" for line in footnotes(result)) + "\n")
    return "\n".join(parts)


def _latex(found: CrossValidation) -> str:
    parts = ["% \\usepackage{booktabs}"]
    for name, result in found.results.items():
        for metric in METRICS[result.terms.scale]:
            notes = [*intervals(result, metric), *footnotes(result, metric)]
            parts += [
                r"\begin{table}",
                r"\centering",
                rf"\caption{{{latex_text(', '.join(heading(result)))}.}}",
                rf"\label{{tab:{NAME}-{name}-{metric}}}",
                latex_table(result.table(metric), result.terms.aus, metric, result.groups()).rstrip(),
                "",
                r"\smallskip",
                r"\parbox{\linewidth}{\footnotesize",
                *(rf"{latex_text(note)}\par" for note in _paragraphs(notes)),
                "}",
                r"\end{table}",
                "",
            ]
    return "\n".join(parts)


def _paragraphs(notes: Sequence[str]) -> Iterator[str]:
    """Sources in one paragraph, and what is to be said of single rows in another; the rest line by line."""
    for kind, group in groupby(notes, key=lambda note: note[:1] if note[:1] in "(*" else note):
        said = [note.removeprefix("* ") for note in group]
        yield ("* " if kind == "*" else "") + "; ".join(said)


def _csv(found: CrossValidation) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, result in found.results.items():
        where = [name, result.terms.fingerprint()]
        for metric in METRICS[result.terms.scale]:
            for row, scores in result.table(metric).items():
                ends = result.rows[row].intervals if row in result.rows else dict[str, Interval]()
                source, note = _beside(result, row)
                general = _general(result, row)
                for code in (*result.terms.aus, "average"):
                    key = f"{metric}_macro" if code == "average" else f"{metric}/{code}"
                    band = ends.get(key)
                    cells = [scores[key], *((math.nan, math.nan) if band is None else (band.low, band.high))]
                    written = ["" if math.isnan(one) else repr(one) for one in cells]
                    notes = [note, *general] if code == "average" else [note]
                    said = "; ".join(one for one in notes if one)
                    writer.writerow([*where, row.strip(), metric, code, *written, source, said])
    return table.getvalue()


def _quoted(result: DatasetResult, row: str) -> PublishedRow | None:
    """The published row of this name."""
    rows = () if result.published is None else result.published.rows
    return next((one for one in rows if published_name(one) == row), None)


def _beside(result: DatasetResult, row: str) -> tuple[str, str]:
    """Where a row was read, and what is to be said of it; ours may be mixed and nothing else."""
    one = _quoted(result, row)
    if one is None or result.published is None:
        return "", "; ".join(note for note in result.notes if note.startswith(MIXED))
    return "; ".join(result.published.sources[key] for key in one.sources), one.caveat


def _general(result: DatasetResult, row: str) -> list[str]:
    """What is to be said of all published rows; it stands beside their averages."""
    if result.published is None or _quoted(result, row) is None:
        return []
    return [*result.notes, *result.published.caveats]


def _json(found: CrossValidation) -> str:
    plain: dict[str, Any] = {"datasets": {}}
    for name, result in found.results.items():
        rows = {
            row: {
                "mean": scores.mean,
                "folds": scores.folds,
                "intervals": {key: [one.low, one.high] for key, one in scores.intervals.items()},
            }
            for row, scores in result.rows.items()
        }
        plain["datasets"][name] = {
            "fingerprint": result.terms.fingerprint(),
            "terms": result.terms.plain(),
            "faces": result.faces,
            "people": result.people,
            "rows": rows,
            "beside": {key: dict(scores) for key, scores in result.extra.items()},
            "notes": list(footnotes(result)),
        }
    return json.dumps(_without_nan(plain), indent=1, ensure_ascii=False) + "\n"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
