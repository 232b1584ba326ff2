"""A small fake of SAMM: a workbook whose header is on row 14, frames of four digits in some clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datamodules.dataset_options.other import SAMMOptions
from datamodules.options import DatasetSettings
from tests.data.small_pictures import save, save_folds, save_workbook

PEOPLE = (6, 7, 9, 10, 11, 13, 14, 15, 37)
HEADER = (
    *("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration"),
    *("Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes"),
)
ABOVE = [
    ("SAMM Micro FACS codes",),
    (),
    *[(f"Explanation {n} of Subject and Filename",) for n in range(3, 14)],
]
"""The 13 rows above the header."""
CLIPS = (
    ("1_2", 5550, 5562, 5580, "L12B"),
    ("1_3", 700, 731, 760, "4+7"),
    ("3_5", 20, 88, 101, "AU1A+2+R14"),
    ("6_1", 990, 1003, 1020, "25?+9"),
)
"""Name without the person, onset, apex, offset and units."""


def write(root: Path) -> DatasetSettings:
    """Write the fake below ``root``; the first people are numbers in the workbook, the others texts."""
    rows = []
    for person in PEOPLE:
        for name, *frames, units in CLIPS:
            rows.append((person if person < 10 else f"{person:03d}", f"{person:03d}_{name}", *frames, units))
            for frame in frames:
                write_frame(root, person, name, frame)
    write_table(root, rows)
    folds = save_folds(root, ["006", "007", "009"], ["010", "011", "013"])
    return DatasetSettings(root=root, options=SAMMOptions(folds_file=folds))


def write_frame(root: Path, person: int, clip: str, frame: int) -> None:
    """Write a frame: four digits below 1000 in clip 1_3, else five."""
    width = 4 if clip == "1_3" and frame < 1000 else 5
    save(root / f"{person:03d}/{person:03d}_{clip}/{person:03d}_{frame:0{width}d}.jpg", (24, 24))


def write_table(root: Path, rows: Sequence[Sequence[object]], header: Sequence[object] = HEADER) -> None:
    """Write the workbook: person, name, onset, apex, offset and units of each clip."""
    told = [(p, n, 1, *frames, 30, "Micro - 1/2", u, "Happiness", 1, None) for p, n, *frames, u in rows]
    save_workbook(root / "SAMM_Micro_FACS_Codes_v2.xlsx", [*ABOVE, header, *told])
