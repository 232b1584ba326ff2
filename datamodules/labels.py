"""Small readers of what label files are made of: tables, numbers in names, folders. No torch here.

Copies of one dataset differ in the width of numbers in file names, in upper and lower case and in byte order
marks; what is said here is the same for all of them.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path

from datamodules.action_units import UNKNOWN
from datamodules.errors import DatasetError

Cells = tuple[int, list[str]]
"""Number of a line and its cells."""

PICTURES = (".jpg", ".jpeg", ".png", ".bmp")
"""Suffixes of pictures, in lower case."""

_DIGITS = re.compile(r"\d+")


def read_table(
    path: Path, delimiter: str | None = None, header: bool = False, encoding: str = "utf-8-sig"
) -> list[Cells]:
    """Read a text table; blank lines and a byte order mark are passed over, cells are stripped.

    Args:
        path: the file.
        delimiter: what stands between cells; None: any white space.
        header: the first line names the columns: it is the first of the returned rows, and every other row
            must have as many cells (a shifted column would be a wrong label).
        encoding: of the file; the default also takes UTF-8 without a mark.

    Returns:
        Line number (from 1) and cells of every row that is not blank; empty for an empty file without header.

    Raises:
        DatasetError: the file is missing, is HTML or no text, has no header, or a row is too short or long.
    """
    text = _text(path, encoding)
    if delimiter is None:
        found = ((number, line.split()) for number, line in enumerate(text.splitlines(), 1))
    else:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        found = ((reader.line_num, [cell.strip() for cell in cells]) for cells in reader)
    rows = [(line, cells) for line, cells in found if any(cells)]
    if header and not rows:
        raise DatasetError(f"{path} is empty: it must begin with a line that names its columns")
    for line, cells in rows if header else ():
        if len(cells) != len(rows[0][1]):
            raise DatasetError(
                f"{path}:{line}: the row has {len(cells)} cells and the header {len(rows[0][1])}: mend it"
            )
    return rows


def label(cell: str | float, origin: str, code: str, unknown: Collection[str | float] = ()) -> float:
    """The value of a label cell.

    Args:
        cell: text or number as it stands in the file.
        origin: file and line, for the message.
        code: the Action Unit, for the message.
        unknown: what the dataset writes where it did not code, as texts or numbers (``9``, ``999``).

    Returns:
        The value; UNKNOWN for one of `unknown` and for an empty cell, ``?`` and NaN. The range is checked
        with the whole index (`datamodules.index.check_index`).

    Raises:
        DatasetError: the cell is no number.
    """
    text = cell.strip() if isinstance(cell, str) else cell
    if text in unknown or text in ("", "?"):
        return UNKNOWN
    try:
        value = float(text)
    except ValueError:
        raise DatasetError(
            f"{origin}: '{text}' as the label of {code} is no number: correct the file"
        ) from None
    return UNKNOWN if math.isnan(value) or value in unknown else value


def natural(stem: str) -> int:
    """The whole number that a file is called by: ``0643`` is 643, ``frame_12`` is 12 (the last digits count).

    Raises:
        DatasetError: there is no digit in it.
    """
    digits = _DIGITS.findall(stem)
    if not digits:
        raise DatasetError(f"the file name '{stem}' holds no number: give the frame number as its name")
    return int(digits[-1])


def numbered(folder: Path, suffixes: Collection[str] = PICTURES) -> dict[int, Path]:
    """The files of a folder by their number, whatever its width: ``643.jpg`` and ``0643.JPG`` are both 643.

    Args:
        folder: is listed once and not entered; hidden files and files without a number are passed over.
        suffixes: in lower case; the case in the folder does not matter.

    Raises:
        DatasetError: the folder is missing, or two files have one number.
    """
    found: dict[int, str] = {}
    for name in listed(folder):
        stem, _, suffix = name.rpartition(".")
        if f".{suffix.lower()}" not in suffixes or not _DIGITS.search(stem):
            continue
        number = natural(stem)
        if number in found:
            raise DatasetError(
                f"{folder} has two files of number {number}, {found[number]} and {name}: "
                "take one of the two out"
            )
        found[number] = name
    return {number: folder / name for number, name in found.items()}


def child(folder: Path, *patterns: str, folders: bool = False) -> Path | None:
    """The entry of a folder that one of the patterns names, upper and lower case alike; None: there is none.

    Args:
        folder: looked into one level deep.
        patterns: ``*`` and ``?`` stand for any letters; brackets and braces stand for themselves. An earlier
            pattern goes before a later one.
        folders: look at folders alone: an archive often lies beside what was unpacked from it.

    Raises:
        DatasetError: the folder is missing, or one pattern fits several entries.
    """
    names = listed(folder, folders)
    for pattern in patterns:
        plain = pattern.lower().replace("[", "[[]")
        fits = [name for name in names if fnmatchcase(name.lower(), plain)]
        if len(fits) > 1:
            raise DatasetError(
                f"{folder} holds both '{fits[0]}' and '{fits[1]}' where one '{pattern}' is "
                "expected: rename or move one of them"
            )
        if fits:
            return folder / fits[0]
    return None


def listed_folders(folder: Path) -> list[Path]:
    """The folders in a folder that are not hidden, sorted by name.

    Raises:
        DatasetError: the folder is missing.
    """
    return [folder / name for name in listed(folder, folders=True)]


def folders_at(folder: Path, depth: int) -> list[Path]:
    """The folders exactly so many levels below a folder, sorted level by level; hidden ones are passed over.

    Raises:
        DatasetError: the folder is missing.
    """
    found = [folder]
    for _ in range(depth):
        found = [inner for one in found for inner in listed_folders(one)]
    return found


def all_folders(folder: Path) -> list[Path]:
    """A folder and those below it at any depth; one behind a link is named too but not entered."""
    walked = ((Path(one), inner) for one, inner, _ in os.walk(folder))
    return [folder, *(one / name for one, inner in walked for name in inner)]


def listed(folder: Path, folders: bool = False) -> list[str]:
    """The entries of a folder that are not hidden (``.DS_Store``, ``._0001.jpg``), sorted.

    Names, not paths, since folders of 20,000 pictures are common.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and (not folders or entry.is_dir())
            )
    except (FileNotFoundError, NotADirectoryError):
        raise DatasetError(
            f"there is no folder {folder}: unpack the dataset again, or correct the root"
        ) from None


def _text(path: Path, encoding: str) -> str:
    try:
        text = path.read_text(encoding=encoding)
    except FileNotFoundError:
        raise DatasetError(f"there is no label file {path}: unpack the dataset again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read as text ({error}): unpack the dataset again") from None
    start = text.lstrip()[:200].lower()
    if "\0" in text or start.startswith(("<!doctype", "<html", "<?xml")):
        what = "HTML, a page of a web site" if start.startswith("<") else "no text"
        raise DatasetError(f"{path} is {what}, and no table of labels: download the file again")
    return text
