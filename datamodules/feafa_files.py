"""The .auw files of FEAFA and FEAFA+: one frame each, a line of 24 values. No torch here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.action_units import FEAFA_AUS, UNKNOWN
from datamodules.errors import DatasetError
from datamodules.findings import Findings
from datamodules.labels import PICTURES, label, read_table

SUFFIX = ".auw"
DIGITS = 8

_FLAT = re.compile(r"(PV\d{3})(\d{8})", re.IGNORECASE)
_FRAME = re.compile(r"(?:.*\D)?(\d{8})")
_FOLDER = re.compile(r"(.*?)(?:\.output|_data)?", re.IGNORECASE)
_OF_DISFA = re.compile(r"(\d+)\.output", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labelled frames of one sequence in one folder.

    Attributes:
        sequence: ``PV057``; ``SN002`` for a sequence of part B; else the name of the folder.
        frames: frame number -> label file, in ascending order.
        pictures: frame number -> picture beside the label file.
    """

    sequence: str
    frames: dict[int, Path]
    pictures: dict[int, Path]

    @property
    def of_disfa(self) -> bool:
        """Whether it belongs to part B, DISFA labelled anew."""
        return re.fullmatch(r"SN\d{3}", self.sequence) is not None


def find_labelled(root: Path, findings: Findings) -> list[Labelled]:
    """Every folder with label files below the root, by sequence.

    The copies differ: ``PV057.output/00000994.auw``, ``<name>_data/00000994.auw``, flattened
    ``PV05700000994.auw``, and in part B ``2.output/gong2_2_00004832.auw`` (the frame is the last 8 digits,
    what stands before them is an annotator's mark).

    Raises:
        DatasetError: two files label the same frame.
    """
    found: dict[str, Labelled] = {}
    for folder, files in _folders_with_labels(root):
        stems = {Path(name).stem: name for name in files if name.lower().endswith(PICTURES)}
        for name in files:
            if not name.lower().endswith(SUFFIX):
                continue
            path, stem = folder / name, name[: -len(SUFFIX)]
            sequence, frame = _sequence(folder.name, stem)
            if frame is None:
                findings.add("unread-file", path, f"{path} has no frame number of 8 digits: it is not read")
                continue
            one = found.setdefault(sequence, Labelled(sequence, {}, {}))
            if frame in one.frames:
                raise DatasetError(
                    f"{one.frames[frame]} and {path} label the same frame: take one of the two out"
                )
            one.frames[frame] = path
            if stem in stems:
                one.pictures[frame] = folder / stems[stem]
    return [found[sequence] for sequence in sorted(found)]


def read_labels(files: dict[int, Path]) -> npt.NDArray[np.float32]:
    """The values of label files, float32 [n, 24], in the order of `FEAFA_AUS`.

    Raises:
        DatasetError: a file has not one line of 24 numbers.
    """
    rows = np.empty((len(files), len(FEAFA_AUS)), dtype=np.float32)
    for number, path in enumerate(files.values()):
        try:
            text = path.read_text(encoding="utf-8-sig").strip()
            cells = [] if "\n" in text else text.split()
            if len(cells) != len(FEAFA_AUS):  # numpy would also take one value for all
                raise ValueError(text)
            rows[number] = np.array(cells, dtype=np.float32)
        except (OSError, ValueError):
            rows[number] = _cell_by_cell(path)
    rows[np.isnan(rows)] = UNKNOWN
    return rows


def _cell_by_cell(path: Path) -> list[float]:
    """The values of a file that is not plain, or a named error."""
    table = read_table(path)
    if len(table) != 1 or len(table[0][1]) != len(FEAFA_AUS):
        told = f"{len(table)} lines" if len(table) != 1 else f"{len(table[0][1])} values"
        raise DatasetError(
            f"{path}:1: it has {told}, not one line of {len(FEAFA_AUS)} values: unpack it again"
        )
    cells = zip(table[0][1], FEAFA_AUS, strict=True)
    return [label(cell, f"{path}:1", code) for cell, code in cells]


def _sequence(folder: str, stem: str) -> tuple[str, int | None]:
    flat = _FLAT.fullmatch(stem)
    if flat is not None:
        return flat[1].upper(), int(flat[2])
    frame = _FRAME.fullmatch(stem)
    name = _FOLDER.fullmatch(folder)
    sequence = folder if name is None else name[1]
    of_disfa = _OF_DISFA.fullmatch(folder)  # `12_data` is a sequence of part A that somebody named 12
    if of_disfa is not None:
        sequence = f"SN{int(of_disfa[1]):03d}"
    if re.fullmatch(r"pv\d+", sequence, re.IGNORECASE):
        sequence = f"PV{int(sequence[2:]):03d}"
    return sequence, None if frame is None else int(frame[1])


def _folders_with_labels(root: Path) -> Iterator[tuple[Path, list[str]]]:
    for folder, inside, files in os.walk(root):
        inside[:] = sorted(name for name in inside if not name.startswith((".", "__MACOSX")))
        names = sorted(name for name in files if not name.startswith("."))
        if any(name.lower().endswith(SUFFIX) for name in names):
            yield Path(folder), names
