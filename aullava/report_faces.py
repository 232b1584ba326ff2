"""The faces that a run read best and worst, where the dataset allows its faces to be shown."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from aullava.build import build_data
from aullava.evaluation.answer_table import AnswerTable, Values
from aullava.report_run import Run
from datamodules.action_units import UNKNOWN
from datamodules.base import AUDataModule
from datamodules.errors import DatasetError

COUNT = 7
"""Faces of each kind."""
SIDE = 144
"""Pixels of a shown face."""
_SAID = 5
"""Action Units named below a face."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One face: its picture as a data URI, its name, and in what label and answer differ."""

    picture: str
    name: str
    lines: tuple[str, ...]


def faces(run: Run) -> Iterator[tuple[str, dict[str, list[Shown]] | str]]:
    """For each tested dataset its best and worst faces, or the reason why none is shown."""
    data = build_data(run.config)
    for member in data.members:
        table = run.tests.get(member.name)
        if table is None:
            continue
        if not member.log_images:
            yield member.name, "its faces may not be shown (log_images)"
            continue
        try:  # nothing is prepared for a handful of faces: drawing a whole population takes minutes
            yield member.name, _chosen(member, table)
        except (DatasetError, OSError) as error:
            yield member.name, f"its faces cannot be read ({error})"


def _chosen(member: AUDataModule, table: AnswerTable) -> dict[str, list[Shown]]:
    best, worst = ranked(table)
    rows = {str(name): row for row, name in enumerate(member.index.sample_ids)}
    return {
        title: [_shown(member, table, at, rows[table.sample_ids[at]]) for at in chosen[:COUNT]]
        for title, chosen in (("read best", best), ("read worst", worst))
    }


def ranked(table: AnswerTable) -> tuple[list[int], list[int]]:
    """Faces by their errors, the best and the worst first.

    The best are those that show the most among the faces without (or with the least) error: a neutral face
    read as neutral says little.
    """
    known = (table.labels != UNKNOWN) & (table.answers != UNKNOWN)
    error: Values = np.where(known, np.abs(table.labels - table.answers), 0.0).sum(1) / known.sum(1).clip(1)
    shown: Values = np.where(known, table.labels, 0.0).sum(1)
    readable = known.any(1)
    best = np.lexsort((np.arange(len(error)), -shown, error.round(3)))
    worst = np.lexsort((np.arange(len(error)), -error))
    return [int(at) for at in best if readable[at]], [int(at) for at in worst if readable[at]]


def _shown(member: AUDataModule, table: AnswerTable, at: int, row: int) -> Shown:
    picture = Image.fromarray(member.picture(row))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    uri = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
    return Shown(uri, table.sample_ids[at], tuple(_lines(table, at)))


def _lines(table: AnswerTable, at: int) -> Iterator[str]:
    """The largest differences; without any, what is shown and was seen."""
    labels, answers = table.labels[at], table.answers[at]
    known = (labels != UNKNOWN) & (answers != UNKNOWN)
    apart = np.where(known, np.abs(labels - answers), 0.0)
    for column in np.argsort(-apart, kind="stable")[:_SAID]:
        if apart[column] > 0.005:
            kind = "missed" if answers[column] < labels[column] else "too much"
            said, coded = (f"{round(one[column], 2):g}" for one in (answers, labels))
            yield f'<b class="{kind[:3]}">{escape(table.aus[column])}</b> {said} for {coded}'
    if not (apart > 0.005).any():
        right = [table.aus[column] for column in np.argsort(-labels) if known[column] and labels[column] > 0]
        yield "all right: " + (", ".join(right[:_SAID]) or "neutral")
