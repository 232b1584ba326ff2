"""Label tables as the datasets ship them: some columns of a .csv or .xlsx file, found by their names."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from datamodules.errors import DatasetError
from datamodules.labels import Cells, read_table

HEADER_WITHIN = 50
"""Rows in which the header is looked for: SAMM's stands on row 14, below a page of explanations."""


def read_columns(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Read some columns of the first sheet of a workbook, or of a CSV.

    The header is the first row that holds all the names; upper and lower case, spaces and quotes around
    names do not matter (EmotioNet quotes its names twice). Rows in which all these columns are empty are
    passed over.

    Returns:
        Number of the row in the file, and its cells as text by the names in `columns`.

    Raises:
        DatasetError: the file is missing or of another kind, a column is missing, or stands twice.
    """
    rows = _sheet(path) if path.suffix.lower() == ".xlsx" else iter(read_table(path, ","))
    place: list[int] = []
    names: list[str] = []
    found = []
    seen: set[str] = set()
    for line, cells in rows:
        if not place:
            names = [_plain(cell) for cell in cells]
            seen |= {name for name in names if name}
            if all(_plain(column) in names for column in columns):
                place = [_only(path, line, names, _plain(column)) for column in columns]
            elif line > HEADER_WITHIN:
                break
            continue
        if len(cells) != len(names):
            cells = _as_long(path, line, cells, len(names))
        row = {column: cells[at] for column, at in zip(columns, place, strict=True)}
        if any(row.values()):
            found.append((line, row))
    if not place:
        missing = next((column for column in columns if _plain(column) not in seen), columns[0])
        raise DatasetError(
            f"{path} has no row that names the columns {', '.join(columns)} ('{missing}' is missing): "
            "use the file as it is distributed"
        )
    return found


def whole_number(cell: str) -> int | None:
    """The whole number in a cell; None for anything else (``/``, empty, ``12.5``)."""
    text = cell.strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _sheet(path: Path) -> Iterator[Cells]:
    """The rows of the first sheet; openpyxl runs no macro and no formula."""
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except FileNotFoundError:
        raise DatasetError(f"there is no label table {path}: unpack the dataset again") from None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, InvalidFileException) as error:
        raise DatasetError(f"{path} is no .xlsx workbook ({error}): download the file again") from None
    try:
        sheet: Any = book.worksheets[0]
        sheet.reset_dimensions()  # some writers note a wrong size, and rows would be cut off
        for line, cells in enumerate(sheet.iter_rows(values_only=True), 1):
            yield line, list(_texts(cells))
    finally:
        book.close()


def _as_long(path: Path, line: int, cells: list[str], width: int) -> list[str]:
    """The cells of a row that is not as long as the header: empty ones at its end may stand or be left out.

    In a CSV a row that is short would hold its values in wrong columns.
    """
    given = len(cells)
    while cells and not cells[-1]:
        cells = cells[:-1]
    if len(cells) > width or (given < width and path.suffix.lower() == ".csv"):
        raise DatasetError(f"{path}:{line}: the row has {given} cells and the header {width}: mend the row")
    return [*cells, *[""] * (width - len(cells))]


def _texts(cells: Iterable[Any]) -> Iterator[str]:
    """Cells as text; a number that Excel keeps as 4.0 is "4"."""
    for cell in cells:
        if isinstance(cell, float) and cell.is_integer():
            cell = int(cell)
        yield "" if cell is None else str(cell).strip()


def _plain(name: str) -> str:
    return " ".join(name.strip(" '\"\t").lower().split())


def _only(path: Path, line: int, names: Sequence[str], name: str) -> int:
    """The place of a column that must stand once."""
    if names.count(name) > 1:
        raise DatasetError(f"{path}:{line}: column '{name}' stands twice: take one of the two out")
    return names.index(name)
