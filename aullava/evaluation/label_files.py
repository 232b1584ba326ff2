"""The labels that predictions are compared against: one CSV with a row per frame. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aullava.evaluation.answer_files import Table, number, read_table, row_name, text
from aullava.evaluation.errors import ComparisonError
from datamodules.action_units import UNKNOWN, Scale, codes

_LIKE_A_CODE = re.compile(r"a[ud][ _-]?\d.*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of frames.

    Attributes:
        path: the table.
        by: what names its rows: file, frame, or video (with frame).
        names: of the rows; `lines`: where they stand; `subjects`: who is seen.
        aus: codes of the columns.
        scale: what the values mean.
        values: float64 [N, A], NaN where not coded.
    """

    path: Path
    by: str
    names: list[str]
    lines: list[int]
    subjects: list[str]
    aus: tuple[str, ...]
    scale: Scale
    values: npt.NDArray[np.float64]

    def rows(self, chosen: Sequence[int]) -> Labels:
        """The chosen rows."""
        return replace(
            self,
            names=[self.names[at] for at in chosen],
            lines=[self.lines[at] for at in chosen],
            subjects=[self.subjects[at] for at in chosen],
            values=self.values[list(chosen)],
        )


def read_labels(path: Path, aus: Sequence[str] | None = None, scale: Scale | None = None) -> Labels:
    """Read labels: columns `subject`; `file`, `frame`, or `video` and `frame`; Action Units such as AU12.

    Args:
        path: the CSV; an empty cell, NaN or -1 is not coded.
        aus: take only these; None: all columns that are codes.
        scale: what the values mean; None: levels if any is above 1, intensities if any is no whole number,
            else presence.

    Raises:
        ComparisonError: a column is missing or misspelt, a row stands twice, or a value is not on the scale.
    """
    table = read_table(path)
    by = next((word for word in ("file", "video", "frame") if word in table.header), None)
    subject = table.column(("subject",))
    if by is None or subject is None:
        missing = "subject" if by is not None else "file (or frame, or video and frame)"
        raise ComparisonError(f"{path}:1: there is no column {missing}: the header has {_words(table)}")
    units = _columns(table, aus)
    lines: dict[str, int] = {}
    subjects, values = [], []
    for line, cells in table.rows:
        where = f"{path}:{line}"
        name = row_name(table, cells, by, where)
        if name in lines:
            raise ComparisonError(
                f"{where}: {by} '{name}' stands in line {lines[name]} already: take one out"
            )
        lines[name] = line
        subjects.append(text(cells[subject], where, "subject"))
        row = [number(cells[at], where, code) for code, at in units.items()]
        values.append([math.nan if value == UNKNOWN else value for value in row])
    table_of_values = np.array(values, dtype=np.float64)
    meant = scale or _scale(table_of_values)
    for row, column in np.argwhere(~np.isnan(table_of_values)):
        if not meant.allows(table_of_values[row, column]):
            raise ComparisonError(
                f"{path}:{table.rows[row][0]}: label {table_of_values[row, column]:g} of "
                f"{list(units)[column]} is outside the scale '{meant}' ({meant.in_words}): "
                "correct it, or say --scale"
            )
    return Labels(path, by, list(lines), list(lines.values()), subjects, tuple(units), meant, table_of_values)


def _columns(table: Table, aus: Sequence[str] | None) -> dict[str, int]:
    known = set(codes())
    found = {name: at for at, name in enumerate(table.header) if _LIKE_A_CODE.fullmatch(name.strip())}
    for name in found:
        if name not in known:
            raise ComparisonError(
                f"{table.path}:1: column '{name}' is no Action Unit's code: write it as AU1, AU12L or AD34"
            )
    if not found:
        raise ComparisonError(f"{table.path}:1: no column is an Action Unit such as AU12: {_words(table)}")
    for code in aus or ():
        if code not in found:
            raise ComparisonError(f"{table.path}:1: there is no column '{code}': it has {', '.join(found)}")
    return {code: found[code] for code in aus or found}


def _scale(values: npt.NDArray[np.float64]) -> Scale:
    known = values[~np.isnan(values)]
    if (known > 1).any():
        return Scale.LEVEL
    return Scale.INTENSITY if (known != np.round(known)).any() else Scale.PRESENCE


def _words(table: Table) -> str:
    return ", ".join(table.header)
