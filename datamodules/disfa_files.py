"""The label files, videos and extracted frames of DISFA, whose videos FEAFA+ shows too. No torch here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from datamodules.errors import DatasetError
from datamodules.frame_tables import FrameTable, levels_only, read_frame_table, second_column
from datamodules.images import inside
from datamodules.labels import PICTURES
from datamodules.layout import below, by_code, folders

_LABELS = re.compile(r"(?:SN0*(\d+)_)?AU0*(\d+)\.txt", re.IGNORECASE)
_VIDEO = re.compile(r"(?:Left|Right)VideoSN0*(\d+)_comp\.avi", re.IGNORECASE)
_PERSON = re.compile(r"SN\d+")


def people_in(folder: Path) -> dict[str, Path]:
    """The folders of people (``SN001``) in a folder."""
    named = ((key, path) for key, path in by_code(folder).items() if _PERSON.fullmatch(key))
    return {f"SN{int(key[2:]):03d}": path for key, path in named}


def label_files(root: Path, aus: Sequence[str]) -> dict[str, dict[str, Path]]:
    """The label files of every person by Action Unit, in the order of `aus`: names count, not their order.

    Raises:
        DatasetError: there are none, one lies in another person's folder, or a person lacks one.
    """
    labels = below(root, "ActionUnit_Labels")
    people = {} if labels is None else people_in(labels)
    if not people:
        raise DatasetError(f"there is no ActionUnit_Labels/SN001 below {root}: unpack the labels there")
    return {person: _of_person(person, folder, aus) for person, folder in people.items()}


def read_level_files(files: dict[str, Path]) -> list[FrameTable]:
    """The label files of one person, frames counted from 1.

    Raises:
        DatasetError: a line cannot be read, or the frames are not counted from 1.
    """
    tables = []
    for code, path in files.items():
        table = levels_only(read_frame_table(path, second_column(code), header=False))
        if (table.frames < 1).any():
            raise DatasetError(
                f"{path}: frames of DISFA's labels are counted from 1, here from 0, so every label would "
                "stand one frame off: unpack the labels again"
            )
        tables.append(table)
    return tables


def video_files(root: Path, camera: str) -> dict[str, Path]:
    """The videos of one camera by person; none if they are not there.

    Copies differ in ``Videos_RightCamera`` and ``Video_RightCamera``, ``_comp`` and ``_Comp``.

    Args:
        root: of DISFA.
        camera: ``left`` or ``right``.
    """
    folder = below(root, f"Video*_{camera}Camera")
    files = [] if folder is None else sorted(folder.iterdir())
    named = ((_VIDEO.fullmatch(path.name), path) for path in files)
    return {f"SN{int(match[1]):03d}": path for match, path in named if match is not None}


def frame_folders(root: Path, wanted: str) -> dict[str, Path]:
    """The folders of extracted frames by person; none if they are not there.

    Args:
        root: of DISFA.
        wanted: the folder below the root that holds ``SN001/0.png``; empty: the first such folder.
    """
    if wanted:
        return people_in(inside(root, wanted, "options.frames"))
    for folder in folders(root):
        people = people_in(folder)
        if people and any(path.suffix.lower() in PICTURES for path in next(iter(people.values())).iterdir()):
            return people
    return {}


def _of_person(person: str, folder: Path, aus: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        parts = _LABELS.fullmatch(path.name)
        if parts is None:
            continue
        if parts[1] is not None and int(parts[1]) != int(person[2:]):
            raise DatasetError(
                f"{path} lies in the folder of {person}: move it to that of SN{int(parts[1]):03d}"
            )
        code = f"AU{int(parts[2])}"
        if code in found:
            raise DatasetError(f"{found[code]} and {path.name} both label {code}: take one of the two out")
        found[code] = path
    for code in aus:
        if code not in found:
            raise DatasetError(
                f"{folder} has no file of {code} ({person}_au{code[2:]}.txt): a missing file does not mean "
                "absent, unpack the labels again"
            )
    return {code: found[code] for code in aus}
