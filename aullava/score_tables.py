"""The scores of a run as what the terminal shows: per Action Unit, beside the baselines on the same faces."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from aullava.baselines import MEAN, PRESENT, PROBE, ZERO
from aullava.evaluation.scores import PRESENT_FROM
from aullava.evaluation.tables import text_table
from aullava.training.run_folder import RESULT, known_result
from datamodules.action_units import Scale
from datamodules.base import AUDataModule
from datamodules.mixture import Mixture

METRICS: Final[Mapping[Scale, tuple[str, ...]]] = {
    Scale.PRESENCE: ("f1",),
    Scale.LEVEL: ("f1", "mae"),
    Scale.INTENSITY: ("pcc", "mae"),
}
"""What is shown of each format; a result has more."""
MODEL: Final = "AU-LLaVA"
OWN: Final[Mapping[str, str]] = {MODEL: "test"}
BASELINES: Final[Mapping[str, str]] = {
    PROBE: "linear probe",
    PRESENT: "always present",
    ZERO: "always 0",
    MEAN: "training mean",
}
PEOPLE: Final = {"val": "validation", "test": "held-out"}


def score_tables(run: Path, data: Mixture, scores: Mapping[str, float], split: Literal["val", "test"]) -> str:
    """A heading and tables for every dataset, and where all scores are.

    Args:
        run: folder of the run, with the scores in its result.
        data: the faces that were scored.
        scores: flat names such as ``test/synthetic_bp4d/f1_macro`` to values, baselines among them.
        split: which people they are.

    Returns:
        Lines, the last one ended.
    """
    said = "".join(_tables(member, scores, split) for member in data.members)
    kept = sum("/" in name for name in known_result(run))
    page = f"; `aullava report {shlex.quote(str(run))}` makes a page of them" if split == "test" else ""
    return f"{said}\n{kept} scores in {run / RESULT}{page}\n"


def _tables(member: AUDataModule, scores: Mapping[str, float], split: Literal["val", "test"]) -> str:
    faces = len(member.rows(split, member.loading.limit(split)))
    people = len(member.split.part(split))
    scale = member.coded_scale()
    counted = f" (F1: {PRESENT_FROM[scale]:g} and above)" if scale is Scale.LEVEL else ""
    said = f"\n{member.name}: {scale.value}{counted}, {faces} faces of {people} {PEOPLE[split]} people\n"
    for metric in METRICS[scale]:
        rows = score_rows(scores, member.name, metric, {MODEL: split})
        said += "\n" + text_table(rows, member.asked_aus, metric)
    return said


def score_rows(
    scores: Mapping[str, float], dataset: str, metric: str, own: Mapping[str, str] = OWN
) -> dict[str, dict[str, float]]:
    """The rows of one table: the model first, then the baselines, of each what has this metric.

    Args:
        scores: flat names to values.
        dataset: registered name.
        metric: f1, mae or pcc.
        own: title -> what the names of the model's own scores begin with.
    """
    wanted = {title: f"{kind}/{dataset}/" for title, kind in own.items()}
    wanted |= {title: f"baseline/{name}/{dataset}/" for name, title in BASELINES.items()}
    rows = {title: _below(scores, prefix) for title, prefix in wanted.items()}
    return {title: found for title, found in rows.items() if f"{metric}_macro" in found}


def _below(scores: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {key.removeprefix(prefix): value for key, value in scores.items() if key.startswith(prefix)}
