"""`aullava compare`: the comparison as text, and as files that are never written over."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from aullava.evaluation.compare import Comparison, Rule, Score, compare
from aullava.evaluation.errors import ComparisonError
from aullava.evaluation.label_files import Labels, read_labels
from aullava.evaluation.tables import STYLES, markdown_table, text_table
from aullava.training.run_folder import write_json, write_text
from datamodules.action_units import Scale

WRITTEN = ("compare.csv", "compare.json", "compare.md")


def run_compare(
    files: Sequence[Path],
    labels: Path,
    aus: Sequence[str] | None,
    scale: str | None,
    rule: Rule,
    out: Path | None,
) -> str:
    """Compare files of predictions, and write the result into a folder if one is given.

    Args:
        files: two CSVs or more; the first is what the others are compared with.
        labels: the CSV with the labels.
        aus: Action Units to score; None: all of the labels.
        scale: of the labels; None: read off them.
        rule: thresholds, frames, draws.
        out: folder for compare.csv, compare.json and compare.md; None: nothing is written.

    Returns:
        What is printed.

    Raises:
        ComparisonError: anything wrong with the files, or the folder holds a comparison already.
    """
    for name in WRITTEN if out is not None else ():
        if out is not None and (out / name).exists():
            raise ComparisonError(
                f"{out / name} is there already: give another folder, nothing is written over"
            )
    truth = read_labels(labels, aus, None if scale is None else Scale(scale))
    found = compare(files, truth, rule)
    said = _told(found, truth, rule)
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
            _write(found, truth, rule, out)
        except OSError as error:
            raise ComparisonError(
                f"nothing can be written into {out} ({error.strerror}): give another folder"
            ) from None
        said += f"written: {out / WRITTEN[0]}, {WRITTEN[1]}, {WRITTEN[2]}\n"
    return said


def _told(found: Comparison, labels: Labels, rule: Rule) -> str:
    parts = [f"{line}\n" for line in _heading(found, labels, rule)]
    for metric in found.scores:
        parts.append("\n" + text_table(_rows(found, metric), found.aus, metric) + "\n")
        parts += [f"{line}\n" for line in _intervals(found.scores[metric], metric)]
    return "".join(parts)


def _heading(found: Comparison, labels: Labels, rule: Rule) -> list[str]:
    rule_text = f"presence 1, probability >= 0.5, level >= {rule.level_from:g}"
    lines = [
        f"{found.frames} frames of {found.people} people of {labels.path}; labels: {labels.scale}",
        f"average over the {len(found.averaged)} Action Units of every file: {', '.join(found.averaged)}",
    ]
    lines += [] if labels.scale is Scale.INTENSITY else [f"present, for labels and files alike: {rule_text}"]
    lines += [
        f"{file}: lacks {n} labelled frames, left out for all" for file, n in found.left_out.items() if n
    ]
    lines += [
        f"{file}: {share:.1%} of the labelled cells have no value, left out for all"
        for file, share in found.unknown.items()
        if share
    ]
    return lines


def _rows(found: Comparison, metric: str) -> dict[str, dict[str, float]]:
    counted = {f"support/{code}": float(n) for code, n in found.support.items()}
    counted |= {f"positives/{code}": float(n) for code, n in found.positives.items()}
    names = _short(list(found.scores[metric]))
    return {
        names[file]: {f"{metric}/{code}": value for code, value in score.per_au.items()}
        | {f"{metric}_macro": score.average}
        | counted
        for file, score in found.scores[metric].items()
    }


def _short(files: Sequence[str]) -> dict[str, str]:
    """The files by their names, by their paths where two names are equal once cut to the table's width."""
    names = {file: Path(file).name[:32] for file in files}
    alike = len(set(names.values())) < len(names)
    return {file: f"{at} {names[file]}"[:32] if alike else names[file] for at, file in enumerate(files, 1)}


def _intervals(scores: dict[str, Score], metric: str) -> list[str]:
    title, factor, decimals = STYLES[metric]
    lines = []
    for at, (file, score) in enumerate(scores.items()):
        low, high = score.interval.low * factor, score.interval.high * factor
        line = (
            f"{file}: {title} {score.average * factor:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]"
        )
        if at:
            low, high = score.difference_interval.low * factor, score.difference_interval.high * factor
            gap = f"{score.difference * factor:+.{decimals}f} [{low:+.{decimals}f}, {high:+.{decimals}f}]"
            line += f", to the first {gap}"
        lines.append(line)
    return [*lines, "in brackets: 95 % of the draws of people, the same draws for every file"]


def _write(found: Comparison, labels: Labels, rule: Rule, out: Path) -> None:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(
        ["file", "metric", "au", "value", "low", "high", "difference", "difference_low", "difference_high"]
    )
    values: dict[str, float | str | int] = {"labels": str(labels.path), "scale": labels.scale.value}
    values |= {"frames": found.frames, "people": found.people, "level_from": rule.level_from}
    values |= {"aus": ",".join(found.averaged), "draws": rule.draws, "seed": rule.seed}
    for metric, scores in found.scores.items():
        for file, score in scores.items():
            writer.writerows(
                [file, metric, code, _cell(value)] + [""] * 5 for code, value in score.per_au.items()
            )
            gap = score.difference_interval
            ends = [score.interval.low, score.interval.high, score.difference, gap.low, gap.high]
            writer.writerow([file, metric, "average", _cell(score.average), *map(_cell, ends)])
            values |= {f"{file}/{metric}/{code}": value for code, value in score.per_au.items()}
            values |= {f"{file}/{metric}_macro": score.average}
            values |= {
                f"{file}/{metric}_macro/{end}": n for end, n in zip(("low", "high"), ends, strict=False)
            }
    write_text(out / WRITTEN[0], table.getvalue())
    write_json(out / WRITTEN[1], values)
    tables = [markdown_table(_rows(found, metric), found.aus, metric) for metric in found.scores]
    write_text(
        out / WRITTEN[2], "\n".join([*(f"{line}\n" for line in _heading(found, labels, rule)), *tables])
    )


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(value)
