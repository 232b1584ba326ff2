"""FACS files as Pittsburgh writes them (CK+, UNBC): a row for each unit that is there. No torch here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datamodules.errors import DatasetError, LabelOutOfRangeError
from datamodules.labels import folders_at, label, listed, read_table

SUFFIX = "_facs.txt"


def facs_files(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """The FACS files of ``folder/<person>/<sequence>/``, sorted; hidden files and folders are passed over.

    Yields:
        Person, sequence and file.
    """
    for sequence in folders_at(folder, 2):
        for name in listed(sequence):
            if name.lower().endswith(SUFFIX):
                yield sequence.parent.name, sequence.name, sequence / name


def read_facs(path: Path) -> dict[int, float]:
    """Intensity of every unit that a file names, by FACS number; nothing for an empty file.

    The rows begin with unit and intensity in scientific notation, apart by any number of spaces.

    Raises:
        DatasetError: a row is short, or names a unit again. LabelOutOfRangeError: a number is no FACS
        number, or an intensity is not one of 0 to 5. Two columns that are mixed up are noticed by this.
    """
    found: dict[int, float] = {}
    for line, cells in read_table(path):
        origin = f"{path}:{line}"
        if len(cells) < 2:
            raise DatasetError(f"{origin}: the row has no intensity beside its unit: unpack the file again")
        unit = label(cells[0], origin, "the unit")
        intensity = label(cells[1], origin, f"AU{unit:g}")
        if unit not in range(1, 100):
            raise LabelOutOfRangeError.of(origin, "the unit", unit, "FACS number", "1 to 99")
        if intensity not in range(6):
            raise LabelOutOfRangeError.of(origin, f"AU{unit:g}", intensity, "level", "0, 1, 2, 3, 4 or 5")
        if int(unit) in found:
            raise DatasetError(f"{origin}: AU{unit:g} stands twice: take one of the two rows out")
        found[int(unit)] = intensity
    return found
