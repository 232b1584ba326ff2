"""The label table of a plain folder, CSV or Parquet, row by row: a table of millions is never held whole."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datamodules.action_units import action_unit
from datamodules.errors import DatasetError

Cell = str | float | None
Row = tuple[int, list[Cell]]
"""Number of the line (of the row, in Parquet) and the cells of the wanted columns."""

PARQUET = (".parquet", ".pq")
_BATCH = 1 << 14  # rows of a Parquet file that are held at once

# In any case and notation, so that "au12" and "AU_12" are refused as misspelt and not passed over.
_LIKE_A_CODE = re.compile(r"a[ud][ _-]?\d", re.IGNORECASE)


def read_header(path: Path) -> list[str]:
    """The names of the columns.

    Raises:
        DatasetError: the file is neither a CSV in UTF-8 nor, by its suffix, Parquet.
    """
    if path.suffix.lower() in PARQUET:
        with _parquet(path) as file:
            return [str(name) for name in file.schema_arrow.names]
    header, _ = next(_csv(path), ([], []))
    return [str(name) for name in header]


def read_rows(path: Path, header: Sequence[str], columns: Sequence[str]) -> Iterator[Row]:
    """The rows with the cells of some columns, in the order of `columns`.

    Raises:
        DatasetError: a row of a CSV has too few or too many cells (a shifted column would be a wrong label),
            or the file is damaged.
    """
    if path.suffix.lower() in PARQUET:
        yield from _parquet_rows(path, columns)
        return
    places = [list(header).index(name) for name in columns]
    rows = _csv(path)
    next(rows, None)
    for cells, (line,) in rows:
        if len(cells) != len(header):
            raise DatasetError(
                f"{path}:{line}: the row has not {len(header)} cells as the header: mend the row"
            )
        yield line, [cells[place] for place in places]


def codes_of(path: Path, header: Sequence[str], needed: Sequence[str]) -> tuple[str, ...]:
    """The columns that are Action Units; refuses a header that lacks a needed column or has a code twice.

    Raises:
        DatasetError: a column is missing, or a code stands twice or is misspelt.
    """
    found = f"the header has {', '.join(header)}"
    for column in needed:
        if column not in header:
            raise DatasetError(f"{path}:1: there is no column '{column}': {found}")
    codes = tuple(name for name in header if _LIKE_A_CODE.match(name))
    for code in codes:
        action_unit(code)  # refuses a misspelt code with the nearest one
        if list(header).count(code) > 1:
            raise DatasetError(f"{path}:1: column '{code}' stands twice: take one of the two out")
    if not codes:
        raise DatasetError(f"{path}:1: no column is an Action Unit such as AU12: {found}")
    return codes


def _csv(path: Path) -> Iterator[tuple[list[str], list[int]]]:
    """Cells of every row that is not blank, the header first, each with the number of its line."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for cells in reader:
                if cells:
                    yield [cell.strip() for cell in cells], [reader.line_num]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is no CSV in UTF-8 ({error}): save it as one") from None


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    from pyarrow import ArrowException

    line = 1  # the header of a CSV is line 1 and its first row line 2: rows are counted alike
    with _parquet(path) as file:
        try:
            for batch in file.iter_batches(_BATCH, columns=list(columns)):
                for cells in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
                    line += 1
                    yield line, [_plain(cell) for cell in cells]
        except (ArrowException, OSError) as error:
            raise _damaged(path, error) from None


def _plain(cell: object) -> Cell:
    """A cell of any column type as a number or a text."""
    if cell is None or isinstance(cell, str):
        return cell
    return float(cell) if isinstance(cell, int | float) else str(cell)


def _parquet(path: Path) -> Any:
    """The open file; pyarrow is only imported for whoever has a Parquet table."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(path)
    except (ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> DatasetError:
    reason = " ".join(str(error).split())
    return DatasetError(f"{path} is no Parquet file or damaged ({reason}): write it again")
