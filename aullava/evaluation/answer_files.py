"""Tables of predictions: ours, OpenFace's, py-feat's and LibreFace's, brought to frames and Action Units.

Which program wrote a table is read off its header. Each tells an Action Unit in its own words and on its
own scale (OpenFace ``AU01_c`` 0/1 and ``AU01_r`` 0-5, py-feat ``AU01`` probability 0-1, LibreFace ``au_1``
0/1 and ``au_1_intensity`` 0-5), and counts the frames of a video from its own first number. A cell that is
empty or NaN, and a frame that OpenFace marks as failed (``success`` 0), is not known; it is never "absent".
No torch.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aullava.evaluation.errors import ComparisonError

PRESENCE, LEVEL, INTENSITY, PROBABILITY = "presence", "level", "intensity", "probability"
FILE_WORDS: Final = ("file", "image", "input", "input_image_path", "path_to_frame")
FRAME_WORDS: Final = ("frame", "frame_idx")
VIDEO_WORDS: Final = ("video", "input", "file")


@dataclass(frozen=True, slots=True)
class Program:
    """How one program writes.

    Attributes:
        name: for people.
        columns: pattern of a column with an Action Unit's number -> what its values mean.
        first_frame: the number of a video's first frame.
        padded: whether its cells have blanks around them that mean nothing.
    """

    name: str
    columns: tuple[tuple[re.Pattern[str], str], ...]
    first_frame: int = 0
    padded: bool = False


OPENFACE: Final = Program(
    "OpenFace", ((re.compile(r"AU(\d\d)_c"), PRESENCE), (re.compile(r"AU(\d\d)_r"), LEVEL)), 1, True
)
WIDE: Final = Program("AU-LLaVA", OPENFACE.columns)
"""What `aullava predict` writes: OpenFace's columns beside its own, frames counted from 0."""
LIBREFACE: Final = Program(
    "LibreFace", ((re.compile(r"au_(\d+)"), PRESENCE), (re.compile(r"au_(\d+)_intensity"), LEVEL))
)
PY_FEAT: Final = Program("py-feat", ((re.compile(r"AU(\d\d)"), PROBABILITY),))
OURS: Final = ("file", "format", "au", "value")
"""A long table: one row for each file, format and Action Unit."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a CSV: its name, its header, and the cells of every row with its line."""

    path: Path
    header: list[str]
    rows: list[tuple[int, list[str]]]

    def column(self, words: Sequence[str]) -> int | None:
        """The place of the first of some columns that is there."""
        return next((self.header.index(word) for word in words if word in self.header), None)


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a program said.

    Attributes:
        path: the table.
        program: who wrote it.
        first_frame: the number that it gives the first frame of a video; None where files are named.
        values: meaning (presence, level, ...) -> Action Unit -> frame -> value, NaN where not known.
        frames: every frame of the table with the line it stands in.
    """

    path: Path
    program: str
    first_frame: int | None
    values: dict[str, dict[str, dict[str, float]]]
    frames: dict[str, int]


def read_table(path: Path) -> Table:
    """Read a CSV with a header.

    Raises:
        ComparisonError: no such file, no text, no row, cells apart by semicolons, a row too long or short.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ComparisonError(f"{path} cannot be read ({reason}): give the name of a CSV file") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    if len(rows) < 2:
        raise ComparisonError(f"{path} has no row below a header: give a table with predictions or labels")
    header = rows[0][1]
    if len(header) == 1 and ";" in header[0]:
        raise ComparisonError(f"{path}:1: the cells are apart by semicolons: write them with commas")
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise ComparisonError(
                f"{path}:{line}: the row has {len(cells)} cells and the header {len(header)} (a decimal "
                "comma splits a cell in two): mend the row"
            )
    doubled = [name for name in header if name.strip() and header.count(name) > 1]
    if doubled:
        raise ComparisonError(f"{path}:1: column '{doubled[0]}' stands twice: take one of the two out")
    return Table(path, header, rows[1:])


def number(cell: str, where: str, column: str) -> float:
    """The value of a cell, NaN for an empty one and for NaN.

    Raises:
        ComparisonError: blanks around it, a decimal comma, no number, or infinite.
    """
    if cell != cell.strip():
        raise ComparisonError(f"{where}: '{cell}' in column '{column}' has stray blanks: take them out")
    if cell == "":
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        why = "has a decimal comma: write a point" if "," in cell else "is no number: correct it"
        raise ComparisonError(f"{where}: '{cell}' in column '{column}' {why}") from None
    if math.isinf(value):
        raise ComparisonError(f"{where}: '{cell}' in column '{column}' is infinite: correct it")
    return value


def text(cell: str, where: str, column: str) -> str:
    """A name, such as a picture's path.

    Raises:
        ComparisonError: it is empty or has blanks around it.
    """
    if cell != cell.strip() or not cell:
        raise ComparisonError(f"{where}: '{cell}' in column '{column}' is empty or has stray blanks: mend it")
    return cell


def row_name(table: Table, cells: Sequence[str], by: str, where: str, shift: int = 0) -> str:
    """What a row is about, by which tables are matched: its file, its frame, or its video and frame.

    Args:
        table: where the row stands.
        cells: the row.
        by: file, frame or video.
        where: file and line, for messages.
        shift: added to the frame number.

    Raises:
        ComparisonError: the table has no such column, or the cell is no name or number.
    """
    words = {"file": FILE_WORDS, "frame": FRAME_WORDS, "video": VIDEO_WORDS}
    place = table.column(words[by])
    if place is None:
        raise ComparisonError(
            f"{table.path}:1: there is no column '{by}', by which the labels name their rows: add it"
        )
    column = table.header[place]
    if by == "file":
        return text(cells[place], where, column)
    if by == "video":
        frame = row_name(table, cells, "frame", where, shift)
        return f"{text(cells[place], where, column)}:{frame}"
    value = number(cells[place], where, column)
    if math.isnan(value) or value != int(value):
        raise ComparisonError(
            f"{where}: '{cells[place]}' in column '{column}' is no whole number: correct it"
        )
    return str(int(value) + shift)


def read_predictions(path: Path, by: str, first_frame: int) -> Predictions:
    """Read a table of predictions of any of the four programs.

    Args:
        path: the CSV.
        by: file, frame or video (and frame): what the labels name their rows by.
        first_frame: the number that the labels give the first frame of a video; the table's are moved to it.

    Raises:
        ComparisonError: an unknown header, no column to match by, a frame twice, or a cell that is no number.
    """
    table = read_table(path)
    if set(OURS) <= set(table.header):
        return _ours(table, by)
    padded = any(re.fullmatch(r"AU\d\d_[cr]", name.strip()) for name in table.header)
    if padded:
        rows = [(line, [cell.strip() for cell in cells]) for line, cells in table.rows]
        table = Table(path, [name.strip() for name in table.header], rows)
    program = _program(table)
    for name in table.header:  # else the column would be none that is known, and its unit not known
        if name != name.strip():
            raise ComparisonError(f"{path}:1: column '{name}' has stray blanks: take them out")
    return _wide(table, program, by, first_frame)


def _program(table: Table) -> Program:
    if {"file", "certified"} <= set(table.header):
        return WIDE
    for program in (OPENFACE, LIBREFACE, PY_FEAT):
        if any(pattern.fullmatch(name) for name in table.header for pattern, _ in program.columns):
            return program
    raise ComparisonError(
        f"{table.path}:1: no column is known: give a CSV of `aullava predict`, "
        "OpenFace (AU01_c, AU01_r), py-feat (AU01) or LibreFace (au_1, au_1_intensity)"
    )


def _wide(table: Table, program: Program, by: str, first_frame: int) -> Predictions:
    success = table.column(("success",))
    units = [
        (at, f"AU{int(found[1])}", meaning)
        for at, name in enumerate(table.header)
        for pattern, meaning in program.columns
        if (found := pattern.fullmatch(name))
    ]
    frames: dict[str, int] = {}
    values: dict[str, dict[str, dict[str, float]]] = {}
    for line, cells in table.rows:
        where = f"{table.path}:{line}"
        frame = row_name(table, cells, by, where, first_frame - program.first_frame)
        if frame in frames:
            raise ComparisonError(
                f"{where}: {by} '{frame}' stands in line {frames[frame]} already: keep one face of each"
            )
        frames[frame] = line
        failed = success is not None and number(cells[success], where, "success") == 0
        for at, code, meaning in units:
            value = number(cells[at], where, table.header[at])
            values.setdefault(meaning, {}).setdefault(code, {})[frame] = math.nan if failed else value
    start = None if by == "file" else program.first_frame
    return Predictions(table.path, program.name, start, values, frames)


def _ours(table: Table, by: str) -> Predictions:
    if by != "file":
        raise ComparisonError(
            f"{table.path}:1: the rows are named by 'file' and the labels have no such column: add it to them"
        )
    places = [table.header.index(name) for name in OURS]
    frames: dict[str, int] = {}
    values: dict[str, dict[str, dict[str, float]]] = {}
    for line, cells in table.rows:
        where = f"{table.path}:{line}"
        file, meaning, code, value = (cells[place] for place in places)
        frame = text(file, where, "file")
        if meaning not in (PRESENCE, LEVEL, INTENSITY):
            raise ComparisonError(
                f"{where}: there is no format '{meaning}': presence, level and intensity are known"
            )
        said = values.setdefault(meaning, {}).setdefault(code, {})
        if frame in said:
            raise ComparisonError(f"{where}: file '{file}' has {meaning} of {code} twice: take one row out")
        found = number(value, where, "value")
        said[frame] = math.nan if found == -1 else found
        frames.setdefault(frame, line)
    return Predictions(table.path, "AU-LLaVA", None, values, frames)
