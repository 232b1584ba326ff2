"""The label files that BP4D and BP4D+ have in common. No torch here.

Occurrence files come in two forms. **Legacy**: 100 columns headed 0 to 99, column N is AU N. **Named**: about
35 columns, each headed by the number of its AU; the cell above the frame numbers may hold anything, even a 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from datamodules.errors import DatasetError
from datamodules.findings import Findings
from datamodules.frame_tables import Columns, FrameTable, joined, levels_only, read_frame_table, second_column
from datamodules.labels import child
from datamodules.layout import below, by_code

UNCODED: Final = 9
"""What both kinds of files hold where nothing was coded."""

INTENSITY_AUS: Final = ("AU6", "AU10", "AU12", "AU14", "AU17")
"""The Action Units whose intensity was coded."""

OCCLUDED: Final = "occluded"
"""Name of the last column of a legacy file, which OpenFace reads as "face occluded"."""

_LEGACY = 50  # columns from which a file is taken for the legacy form, the rule of the public readers
_NAME = re.compile(r"([FM])(\d+)_T(\d+)(?:_AU(\d+))?\.csv", re.IGNORECASE)
_NUMBER = re.compile(r"(?:AU[ _]?)?0*(\d+)", re.IGNORECASE)


def occurrence_files(root: Path, findings: Findings) -> dict[str, Path]:
    """The occurrence files by sequence, ``F001/T1``; below ``AUCoding/AU_OCC`` or flat in ``AUCoding``.

    Raises:
        DatasetError: there are none.
    """
    coding = _coding(root)
    folder = child(coding, "AU_OCC", folders=True) or coding
    found: dict[str, Path] = {}
    for sequence, code, path in _label_files(folder, findings):
        if code is None:
            found[sequence] = path
        else:
            findings.add("unread-file", path, f"{path} holds the intensity of {code}: it is not read here")
    if not found:
        raise DatasetError(f"{folder} holds no label files such as F001_T1.csv: unpack the AU coding there")
    return found


def intensity_files(root: Path, findings: Findings) -> dict[str, dict[str, Path]]:
    """The intensity files by sequence and Action Unit; below ``AU_INT`` or ``AU-Intensity-Codes3.0``.

    Raises:
        DatasetError: there are none, one lies in the folder of another AU, or a sequence lacks one of the
        five.
    """
    folder = child(_coding(root), "AU_INT", folders=True) or below(root, "AU_INT", "AU-Intensity-Codes*")
    if folder is None:
        raise DatasetError(
            f"there is no folder AU_INT or AU-Intensity-Codes3.0 below {root}: unpack it there"
        )
    found: dict[str, dict[str, Path]] = {}
    for code, inside in by_code(folder).items():
        for sequence, named, path in _label_files(inside, findings):
            if named not in (None, code):
                raise DatasetError(f"{path} lies in the folder of {code}: move it to the folder of {named}")
            found.setdefault(sequence, {})[code] = path
    for sequence, files in found.items():
        for code in INTENSITY_AUS:
            if code not in files:
                raise DatasetError(
                    f"{folder} has no file of {code} for {sequence}: a missing file does not mean absent, "
                    "unpack the intensity codes again"
                )
    return dict(sorted(found.items()))


def label_files(root: Path, labels: str) -> list[Path]:
    """The intensity files if `labels` says ``intensity``, else the occurrence files; errors as theirs."""
    if labels != "intensity":
        return list(occurrence_files(root, Findings()).values())
    return [path for files in intensity_files(root, Findings()).values() for path in files.values()]


def read_occurrence(path: Path, aus: Sequence[str], occlusion: bool = False) -> FrameTable:
    """One occurrence file.

    Args:
        path: the file.
        aus: codes of the wanted columns, in order.
        occlusion: with a last column `OCCLUDED`, if the file is of the legacy form.
    """
    return read_frame_table(path, _occurrence_columns(aus, occlusion), unknown=(UNCODED,))


def read_intensity(files: Mapping[str, Path]) -> FrameTable:
    """The five intensity files of one sequence, joined on the frame number: their frames may differ."""
    return joined(
        [
            levels_only(read_frame_table(files[code], second_column(code), header=False, unknown=(UNCODED,)))
            for code in INTENSITY_AUS
        ]
    )


def _coding(root: Path) -> Path:
    coding = below(root, "AUCoding")
    if coding is None:
        raise DatasetError(f"there is no folder AUCoding below {root}: unpack the AU coding there")
    return coding


def _label_files(folder: Path, findings: Findings) -> list[tuple[str, str | None, Path]]:
    """Sequence, Action Unit (if the name has one) and path of every label file in a folder."""
    found: dict[tuple[str, str | None], Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() != ".csv" or path.name.startswith("."):
            continue
        parts = _NAME.fullmatch(path.name)
        if parts is None:
            findings.add("unread-file", path, f"{path} is not named like a label file: it is not read")
            continue
        sex, person, task, number = parts.groups()
        key = f"{sex.upper()}{int(person):03d}/T{int(task)}", None if number is None else f"AU{int(number)}"
        if key in found:
            raise DatasetError(
                f"{found[key]} and {path.name} label the same sequence: take one of the two out"
            )
        found[key] = path
    return [(sequence, code, path) for (sequence, code), path in found.items()]


def _occurrence_columns(aus: Sequence[str], occlusion: bool) -> Columns:
    def columns(path: Path, cells: Sequence[str]) -> dict[str, int]:
        legacy = len(cells) >= _LEGACY
        headed = [(column, _NUMBER.fullmatch(cell)) for column, cell in enumerate(cells) if column]
        numbers = {column: int(cell[1]) for column, cell in headed if cell is not None}
        for column, number in numbers.items():
            if legacy and number != column:
                raise DatasetError(
                    f"{path}:1: column {column} is headed {number}, so the Action Units are mixed up: "
                    "unpack the file again"
                )
        found = {}
        for code in aus:
            wanted = int(code[2:])
            places = [column for column, number in numbers.items() if number == wanted]
            if len(places) != 1:
                raise DatasetError(
                    f"{path}:1: {len(places)} columns are headed {wanted}, one is needed for {code}: "
                    "unpack the file again"
                )
            found[code] = places[0]
        return {**found, OCCLUDED: len(cells) - 1} if legacy and occlusion else found

    return columns
