"""Label files with a row for every frame, read whole: frame number first, then labels. No torch here.

Hundreds of files of hundreds of lines are read, so the rows go through numpy at once. Only a file that numpy
does not take (an empty cell, ``?``, a shifted row, a page of HTML) is read cell by cell, for the value or the
message.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.action_units import UNKNOWN, Scale
from datamodules.errors import DatasetError, LabelOutOfRangeError
from datamodules.labels import label, read_table

Columns = Callable[[Path, Sequence[str]], Mapping[str, int]]
"""From a file and the cells of its first line to the column of each Action Unit."""


@dataclass(frozen=True, slots=True)
class Origins:
    """Where rows stand, for messages: written out only when somebody asks, since most rows are in order.

    Attributes:
        paths: the files.
        path_of: [n] int64, which of them each row stands in.
        lines: [n] int64, in which line.
    """

    paths: tuple[Path, ...]
    path_of: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]

    def __getitem__(self, row: int) -> str:
        return f"{self.paths[self.path_of[row]]}:{self.lines[row]}"

    def texts(self) -> list[str]:
        """File and line of each row."""
        names = [str(path) for path in self.paths]
        pairs = zip(self.path_of.tolist(), self.lines.tolist(), strict=True)
        return [f"{names[path]}:{line}" for path, line in pairs]


@dataclass(frozen=True, slots=True)
class FrameTable:
    """The labels of one sequence.

    Attributes:
        frames: [n] int64, frame numbers as in the file.
        labels: [n, A] float32, UNKNOWN where not coded; in the order of `aus`.
        origins: file and line of each row.
        aus: codes of the columns.
    """

    frames: npt.NDArray[np.int64]
    labels: npt.NDArray[np.float32]
    origins: Origins
    aus: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frames)

    def rows(self, chosen: npt.NDArray[np.bool_]) -> FrameTable:
        """The chosen rows."""
        origins = Origins(self.origins.paths, self.origins.path_of[chosen], self.origins.lines[chosen])
        return FrameTable(self.frames[chosen], self.labels[chosen], origins, self.aus)


def read_frame_table(
    path: Path, columns: Columns, header: bool = True, unknown: Collection[float] = ()
) -> FrameTable:
    """Read a table, cells apart by commas, with the frame number in its first column.

    Args:
        path: the file.
        columns: finds the column of each Action Unit; may refuse the first line.
        header: the first line holds no labels.
        unknown: values that mean "not coded".

    Raises:
        DatasetError: there is no such file, it is no table, has no rows (a copy that was cut off must not
            pass for a sequence without frames), a row is too long or too short, a cell no number.
    """
    found = _at_once(path, columns, header)
    if found is None:
        found = _cell_by_cell(path, columns, header)
    values, lines, aus = found
    if not len(values):
        raise DatasetError(f"{path} holds no row with a label: unpack the file again")
    origins = Origins((path,), np.zeros(len(lines), np.int64), np.array(lines, np.int64))
    frames = values[:, 0].astype(np.int64)
    for row in np.flatnonzero((frames != values[:, 0]) | (frames < 0))[:1]:
        raise DatasetError(f"{origins[row]}: {values[row, 0]:g} is no frame number: correct the file")
    labels = values[:, 1:].astype(np.float32)
    labels[np.isin(labels, list(unknown)) | np.isnan(labels)] = UNKNOWN
    return FrameTable(frames, labels, origins, aus)


def levels_only(table: FrameTable) -> FrameTable:
    """The table itself, after its labels were checked to be levels.

    Files of single Action Units are checked before they are joined: a joined row has one origin only, and a
    threshold would hide a 7 behind a 1.

    Raises:
        LabelOutOfRangeError: a label is neither 0 to 5 nor UNKNOWN.
    """
    wrong = ~np.isin(table.labels, [UNKNOWN, *range(6)])
    for row, column in np.argwhere(wrong)[:1]:
        value, level = float(table.labels[row, column]), Scale.LEVEL
        raise LabelOutOfRangeError.of(table.origins[row], table.aus[column], value, level, level.in_words)
    return table


def joined(tables: Sequence[FrameTable]) -> FrameTable:
    """Tables of different Action Units of one sequence as one, joined on the frame number.

    A frame that one of them lacks is UNKNOWN there. A row's origin is that of the first table that has it.
    """
    frames = np.unique(np.concatenate([table.frames for table in tables]))
    labels = np.full((len(frames), sum(len(table.aus) for table in tables)), UNKNOWN, np.float32)
    path_of, lines = np.full(len(frames), -1, np.int64), np.zeros(len(frames), np.int64)
    paths: tuple[Path, ...] = ()
    column = 0
    for table in tables:
        rows = np.searchsorted(frames, table.frames)
        for twice in np.flatnonzero(np.bincount(rows, minlength=1) > 1)[:1]:
            where = table.origins[int(np.flatnonzero(rows == twice)[1])]
            raise DatasetError(f"{where}: frame {frames[twice]} stands twice: take one of the two rows out")
        labels[rows, column : column + len(table.aus)] = table.labels
        column += len(table.aus)
        new = path_of[rows] < 0
        path_of[rows[new]] = table.origins.path_of[new] + len(paths)
        lines[rows[new]] = table.origins.lines[new]
        paths += table.origins.paths
    aus = tuple(code for table in tables for code in table.aus)
    return FrameTable(frames, labels, Origins(paths, path_of, lines), aus)


def second_column(code: str) -> Columns:
    """For files of one Action Unit without a header: a frame and a label in every line."""

    def columns(path: Path, cells: Sequence[str]) -> dict[str, int]:
        if len(cells) != 2:
            raise DatasetError(
                f"{path}:1: the row has {len(cells)} cells, not a frame and an intensity: mend the file"
            )
        return {code: 1}

    return columns


_Numbers = tuple[npt.NDArray[np.float64], Sequence[int], tuple[str, ...]]


def _at_once(path: Path, columns: Columns, header: bool) -> _Numbers | None:
    """Values, line numbers and codes; None for whatever is not plain numbers."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) <= header or len({line.count(",") for _, line in lines}) > 1:
        return None
    numbers, rows = zip(*lines[header:], strict=True)
    try:
        wanted = columns(path, [cell.strip() for cell in lines[0][1].split(",")])
        values = np.loadtxt(rows, delimiter=",", usecols=(0, *wanted.values()), ndmin=2, comments=None)
    except (DatasetError, ValueError):  # said by the other way of reading, which also knows HTML
        return None
    return values, numbers, tuple(wanted)


def _cell_by_cell(path: Path, columns: Columns, header: bool) -> _Numbers:
    """The same, with a named error for whatever is wrong."""
    rows = read_table(path, ",", header=True) if header else read_table(path, ",")
    wanted = columns(path, rows[0][1]) if rows else {}
    width = len(rows[0][1]) if rows else 0
    values, numbers = [], []
    for line, cells in rows[header:]:
        origin = f"{path}:{line}"
        if len(cells) != width:
            raise DatasetError(f"{origin}: the row has {len(cells)} cells, others {width}: mend the row")
        frame = label(cells[0], origin, "the frame")
        values.append([frame, *(label(cells[column], origin, code) for code, column in wanted.items())])
        numbers.append(line)
    table = np.array(values, dtype=np.float64).reshape(len(values), 1 + len(wanted))
    return table, numbers, tuple(wanted)
