"""A small fake of CK+: sequences from neutral to peak, of which only the peak has a FACS file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datamodules.dataset_options.other import CKPlusOptions
from datamodules.options import DatasetSettings
from tests.data.small_pictures import save, save_folds

PEOPLE = ("S005", "S010", "S011", "S014", "S022", "S026", "S028", "S506", "S999")
SEQUENCES = ("001", "002", "003")
PEAKS = (((1, 3), (2, 0), (25, 5)), ((4, 0), (17, 2)), ((6, 0), (12, 4), (45, 1)))
"""Unit and intensity; 0 is present with unknown intensity; AU45 is none of those that are read."""


def write(root: Path) -> DatasetSettings:
    """Write the fake below ``root``."""
    for person in PEOPLE:
        for sequence, units in zip(SEQUENCES, PEAKS, strict=True):
            for frame in (1, 2, 11):
                save(picture(root, person, sequence, frame))
            write_facs(root, person, sequence, units)
    # What is there and must not be read.
    for stray in ("FACS/.DS_Store", "FACS/S005/.DS_Store", "FACS/S005/001/.DS_Store"):
        (root / stray).write_bytes(b"\x00\x01Bud1\xff")
    (root / "FACS/S005/001/._S005_001_00000011_facs.txt").write_bytes(b"\x00\x05\x16\x07\xff")
    (root / "cohn-kanade-images/.DS_Store").write_bytes(b"\x00\x01Bud1\xff")
    save(root / "cohn-kanade-images/S005/007/S005_007_00000003.png")  # without a FACS file
    (root / "FACS/S005/007").mkdir()
    folds = save_folds(root, PEOPLE[:4], PEOPLE[4:])
    return DatasetSettings(root=root, options=CKPlusOptions(folds=3, folds_file=folds))


def picture(root: Path, person: str, sequence: str, frame: int) -> Path:
    """Path of a frame."""
    return root / "cohn-kanade-images" / person / sequence / f"{person}_{sequence}_{frame:08d}.png"


def write_facs(
    root: Path, person: str, sequence: str, units: Sequence[tuple[float, float]], frame: int = 11
) -> Path:
    """Write a FACS file as it is distributed: scientific notation, three spaces before each number."""
    path = root / "FACS" / person / sequence / f"{person}_{sequence}_{frame:08d}_facs.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"   {unit:.7e}   {level:.7e}\n" for unit, level in units), encoding="utf-8")
    return path
