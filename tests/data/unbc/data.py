"""A small fake of UNBC-McMaster: two people of each of CSN's folds, FACS and PSPI files of one suffix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from datamodules.dataset_options.other import UNBCOptions
from datamodules.options import DatasetSettings
from tests.data.small_pictures import save, save_folds

PEOPLE = (
    *("042-ll042", "052-dr052", "043-jh043", "059-fn059", "047-jl047"),
    *("064-ak064", "048-aa048", "066-mg066", "049-bm049", "080-bn080"),
)
FRAMES: tuple[tuple[Mapping[int, int], float], ...] = (
    ({}, 0),
    ({4: 2, 6: 1, 7: 3, 43: 1}, 6),
    ({9: 2, 10: 4, 12: 5, 50: 1}, 4),
    ({20: 1, 25: 2, 26: 3, 27: 1}, 0),
)
"""Units with their intensities, and the pain score that belongs to them, of each frame of a sequence."""


def write(root: Path) -> DatasetSettings:
    """Write the fake below ``root``."""
    for person in PEOPLE:
        for frame, (units, score) in enumerate(FRAMES, 1):
            write_frame(root, person, frame, units, score)
    (root / "Images" / PEOPLE[0] / ".DS_Store").write_bytes(b"\x00\x01Bud1\xff")
    (root / "Sequence_Labels/VAS").mkdir(parents=True)
    folds = save_folds(root, PEOPLE[:5], PEOPLE[5:])
    return DatasetSettings(root=root, options=UNBCOptions(folds_file=folds))


def sequence_of(person: str) -> str:
    """Its name begins with the person's."""
    return f"{person.partition('-')[2]}t1aaaff"


def stem(person: str, frame: int) -> str:
    """Person, sequence and frame as the folders have them, without suffix."""
    return f"{person}/{sequence_of(person)}/{sequence_of(person)}{frame:03d}"


def write_frame(
    root: Path, person: str, frame: int, units: Mapping[int, int], score: float | None, picture: bool = True
) -> None:
    """Write picture, FACS file and, unless `score` is None, PSPI file of a frame."""
    name = stem(person, frame)
    if picture:
        save(root / "Images" / f"{name}.png")
    lines = [
        f"   {unit:.7e}   {level:.7e}   0.0000000e+00   1.2000000e+01\n" for unit, level in units.items()
    ]
    _write(root / "Frame_Labels/FACS" / f"{name}_facs.txt", "".join(lines))
    if score is not None:
        _write(root / "Frame_Labels/PSPI" / f"{name}_facs.txt", f"   {score:.7e}\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
