"""The sections of a report about one run, each a piece of HTML."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np

from aullava.evaluation.answer_table import AnswerTable, Values
from aullava.evaluation.calibration import UnitCalibration, pr_points
from aullava.evaluation.co_occurrence import co_occurrence
from aullava.evaluation.curves import reliability
from aullava.evaluation.thresholded import calibrated_table
from aullava.report_plots import lines, unit_curve
from aullava.report_run import Run
from datamodules.action_units import UNKNOWN, Scale, action_unit
from datamodules.check_plots import heat_map
from datamodules.plot_drawing import as_svg

COLUMNS = {
    Scale.PRESENCE: ("f1", "thresholded_f1", "precision", "recall", "auroc", "average_precision", "ece"),
    Scale.LEVEL: ("f1", "icc", "pcc", "mae", "rmse", "precision", "recall"),
    Scale.INTENSITY: ("icc", "pcc", "ccc", "mae", "rmse"),
}
TITLES = {
    "f1": "F1",
    "thresholded_f1": "F1 at threshold",
    "precision": "precision",
    "recall": "recall",
    "auroc": "AUROC",
    "average_precision": "AP",
    "ece": "ECE",
    "icc": "ICC(3,1)",
    "pcc": "PCC",
    "ccc": "CCC",
    "mae": "MAE",
    "rmse": "RMSE",
}
ERRORS = ("mae", "rmse", "ece")
BASELINES = {
    "linear_probe": "linear probe",
    "always_present": "always present",
    "always_zero": "always 0",
    "training_mean": "training mean",
}


def number(value: float | None, decimals: int = 3) -> str:
    """A number for a cell; a dash where there is no support."""
    return "–" if value is None or math.isnan(value) else f"{value:.{decimals}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Rows of finished HTML cells below a line of titles."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    inside = f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="wide"><table class="{kind}">{inside}</table></div>'


def per_au(run: Run, name: str, answers: AnswerTable) -> str:
    """The scores of every Action Unit beside its support, then the averages, then the baselines'."""
    scores, columns = run.scores(f"test/{name}/"), COLUMNS[answers.terms.scale]
    columns = tuple(one for one in columns if f"{one}_macro" in scores)
    head = ["Action Unit", "", "labels", "present", *(TITLES[one] for one in columns)]
    rows = []
    for code in answers.aus:
        present = scores.get(f"positives/{code}")
        counts = [f"{scores[f'support/{code}']:,.0f}", "" if present is None else f"{present:,.0f}"]
        cells = [_bar(one, scores[f"{one}/{code}"]) for one in columns]
        rows.append(
            [
                f"<b>{escape(code)}</b>",
                f"<span class='s'>{escape(action_unit(code).name)}</span>",
                *counts,
                *cells,
            ]
        )
    rows.append(
        ["<b>mean</b>", "<span class='s'>of those with support</span>", "", "", *_macros(scores, columns)]
    )
    for key, title in BASELINES.items():
        found = run.scores(f"baseline/{key}/{name}/")
        if found:
            rows.append([f"<span class='s'>{title}</span>", "", "", "", *_macros(found, columns)])
    return table(head, rows, "units")


def _macros(scores: Mapping[str, float], columns: Sequence[str]) -> list[str]:
    return [number(scores.get(f"{one}_macro")) for one in columns]


def _bar(metric: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    wide = 100 * min(max(value, 0.0), 1.0)
    colour = "#f2c9a1" if metric in ERRORS else "#b9dbe6"
    back = f"background:linear-gradient(90deg,{colour} {wide:.0f}%,transparent {wide:.0f}%)"
    return f'<span class="bar" style="{back}">{value:.3f}</span>'


def calibration(answers: AnswerTable, units: Mapping[str, UnitCalibration]) -> str:
    """Precision against recall, and how true the probabilities are before and after the temperature."""
    if not answers.has_probabilities:
        return ""
    scaled = calibrated_table(answers, units) if units else answers.probabilities
    curves, reliable = [], []
    for at, code in enumerate(answers.aus):
        known = (answers.labels[:, at] != UNKNOWN) & (answers.probabilities[:, at] != UNKNOWN)
        truth = answers.labels[known, at] == 1
        if not truth.any():
            continue
        recall, precision = pr_points(answers, code)
        area = float(np.sum(np.diff(recall, prepend=0.0) * precision))
        curves.append(unit_curve(recall, precision, code, "pr", f"AP {area:.2f}"))
        raw, after = (reliability(one[known, at], truth, 10) for one in (answers.probabilities, scaled))
        note = f"T {units[code].temperature:.2f}" if code in units else ""
        reliable.append(unit_curve(after.said, after.seen, code, "reliability", note, (raw.said, raw.seen)))
    said = "Temperatures and thresholds were chosen on the inner validation people."
    about = f"Grey: as the model says it; blue: after the temperature T. {said}"
    return (
        f'<h3>Precision (up) against recall</h3><div class="plots">{"".join(curves)}</div>'
        f'<h3>Reliability: share present (up) against probability</h3><p class="s">{about}</p>'
        f'<div class="plots">{"".join(reliable)}</div>{_thresholds(units)}'
    )


def _thresholds(units: Mapping[str, UnitCalibration]) -> str:
    rows = [
        [
            f"<b>{escape(code)}</b>",
            number(one.temperature, 2),
            number(one.threshold, 2),
            f"{one.unsure_low:.2f} to {one.unsure_high:.2f}",
            f"{one.positives:,} of {one.labels:,}",
        ]
        for code, one in units.items()
    ]
    head = ["Action Unit", "temperature", "threshold", "unsure between", "chosen on (present of labels)"]
    return (
        ""
        if not rows
        else f"<details><summary>Temperatures and thresholds</summary>{table(head, rows)}</details>"
    )


def together(answers: AnswerTable) -> str:
    """Which Action Units come together, in the labels and in the answers."""
    cut = answers.terms.present_from
    if cut is None:
        return ""
    plots = [
        as_svg(heat_map(answers.aus, co_occurrence(values, answers.labels, cut), title))
        for values, title in ((answers.labels, "coded"), (answers.answers, "answered"))
    ]
    note = "Of the faces that show the unit of the row, the share (%) that also shows that of the column."
    return f'<h3>Units that come together</h3><p class="s">{note}</p><div class="pair">{"".join(plots)}</div>'


def curves(run: Run) -> str:
    """Loss, scores of the validations, learning rates, gradients; a curve needs two points."""
    losses = _chosen(run, "train/loss/", cut=True) or _chosen(run, "train/loss")
    plots = [lines(losses, "Training loss", log=True)]
    for metric in ("f1", "pcc"):
        tags = {name: f"val/{name}/{metric}_macro" for name in run.tests}
        found = {name: run.curves[tag] for name, tag in tags.items() if tag in run.curves}
        plots.append(lines(found, f"{TITLES[metric]} of the validation people"))
    plots.append(lines(_chosen(run, "lr-AdamW/", cut=True), "Learning rates"))
    plots.append(lines(_chosen(run, "gradients/", cut=True), "Gradient norms", log=True))
    return f'<div class="plots">{"".join(plots)}</div>'


def _chosen(run: Run, start: str, cut: bool = False) -> dict[str, tuple[Values, Values]]:
    found = {tag: curve for tag, curve in run.curves.items() if tag.startswith(start)}
    return {tag.removeprefix(start) if cut else tag: one for tag, one in found.items()}


def groups(run: Run) -> Iterator[str]:
    """A table for each column of people or faces that was asked for."""
    for name, columns in run.subgroups.items():
        scale = run.tests[name].terms.scale if name in run.tests else Scale.PRESENCE
        metric = COLUMNS[scale][0]
        for column, found in columns.items():
            rows = []
            for group, one in found.items():
                band = one["intervals"].get(f"{metric}_macro")
                ends = "–" if band is None else f"{number(band[0])} to {number(band[1])}"
                size = [f"{one['scores'][key]:,.0f}" for key in ("faces", "people")]
                rows.append([escape(group), *size, number(one["scores"].get(f"{metric}_macro")), ends])
            head = [
                escape(column),
                "faces",
                "people",
                f"{TITLES[metric]}, mean",
                "95 % of the draws of people",
            ]
            yield f"<h3>{escape(name)} by {escape(column)}</h3>{table(head, rows)}"
