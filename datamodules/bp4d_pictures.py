"""Where the pictures of BP4D and BP4D+ are, in each packaging that circulates. No torch here."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from datamodules.errors import DatasetError
from datamodules.layout import below, by_code, folders

_LOG = logging.getLogger(__name__)

AVI_TASKS: Final = {1: 1, 3: 2, 7: 3, 8: 4, 9: 5, 10: 6, 11: 7, 13: 8}
"""Number of a task in the names of the AVI packaging -> number of the task T (FMAE-IAT's scripts)."""

_PERSON = re.compile(r"([FM])(\d+)")
_AVI = re.compile(r"2([FM])(\d+)_(\d+)\.avi", re.IGNORECASE)
_VIDEO = re.compile(r"([FM])(\d+)_T(\d+)\.(?:mp4|avi|mov)", re.IGNORECASE)
_ZIP = re.compile(r"([FM])(\d+)\.zip", re.IGNORECASE)


def find_packaging(root: Path, wanted: str) -> tuple[str, dict[str, Path]]:
    """The packaging of a copy of BP4D, and the folder or video of each sequence (``F001/T1``).

    Args:
        root: of the dataset.
        wanted: ``disk``, ``fera`` or ``avi``; ``auto``: the first that is there.

    Raises:
        DatasetError: there are no such pictures.
    """
    for name, find in _PACKAGINGS.items():
        found = find(root) if wanted in ("auto", name) else {}
        if found:
            return name, found
    raise DatasetError(
        f"dataset 'bp4d' finds no pictures below {root} (packaging '{wanted}'): bring "
        "Sequences(2D+3D)/F001/T1, BP4D-training/F001/T1 or videos such as 2F01_01.avi, or read labels "
        "alone with options.pictures=none"
    )


def tell_zero_based(dataset: str, sequences: Sequence[str]) -> None:
    """Warn once of sequences whose pictures are counted from 0, read with no offset to labels from 1."""
    if sequences:
        _LOG.warning(
            "dataset '%s': the pictures of %d sequences (the first is %s) are counted from 0: if picture 0 "
            "shows frame 1 of the labels, set data.datasets.%s.options.frame_offset=-1",
            *(dataset, len(sequences), sequences[0], dataset),
        )


def in_folders(folder: Path) -> dict[str, Path]:
    """The folders ``F001/T1`` in a folder by sequence; other folders in it are passed over."""
    found = {}
    for key, person in by_code(folder).items():
        parts = _PERSON.fullmatch(key)
        for task, path in by_code(person).items() if parts is not None else ():
            if parts is not None and task.startswith("T"):
                found[f"{_person(*parts.groups())}/{task}"] = path
    return found


def as_videos(folder: Path) -> dict[str, Path]:
    """The videos ``F001_T1.mp4`` in a folder by sequence."""
    named = ((_VIDEO.fullmatch(path.name), path) for path in sorted(folder.iterdir()))
    return {f"{_person(m[1], m[2])}/T{int(m[3])}": path for m, path in named if m is not None}


def as_archives(folder: Path) -> dict[str, Path]:
    """The archives ``F001.zip`` in a folder by person."""
    named = ((_ZIP.fullmatch(path.name), path) for path in sorted(folder.iterdir()))
    return {_person(match[1], match[2]): path for match, path in named if match is not None}


def _disk(root: Path) -> dict[str, Path]:
    folder = below(root, "Sequences*")
    return {} if folder is None else in_folders(folder)


def _fera(root: Path) -> dict[str, Path]:
    folder = below(root, "BP4D-training")
    return {} if folder is None else in_folders(folder)


def _avi(root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in folders(root):
        for path in sorted(folder.iterdir()):
            parts = _AVI.fullmatch(path.name)
            task = None if parts is None else AVI_TASKS.get(int(parts[3]))
            if parts is None or task is None:
                continue
            sequence = f"{_person(parts[1], parts[2])}/T{task}"
            if sequence in found:
                raise DatasetError(
                    f"both {found[sequence]} and {path} show {sequence}: take one of the two out"
                )
            found[sequence] = path
    return found


def _person(sex: str, number: str) -> str:
    return f"{sex.upper()}{int(number):03d}"


_PACKAGINGS: Final[Mapping[str, Callable[[Path], dict[str, Path]]]] = {
    "disk": _disk,
    "fera": _fera,
    "avi": _avi,
}
