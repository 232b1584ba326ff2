"""A small fake of CASME II: a table with nameless columns and apexes that are '/', frames not padded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datamodules.dataset_options.other import CASME2Options
from datamodules.options import DatasetSettings
from tests.data.small_pictures import save, save_folds, save_workbook

PEOPLE = (1, 2, 4, 8, 9, 10, 15, 23, 26)
HEADER = (
    *("Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None),
    *("Action Units", "Estimated Emotion"),
)
Clip = tuple[str, object, object, object, object]
CLIPS: tuple[Clip, ...] = (
    ("EP01_12", 46, 59, 86, "4+L10"),
    ("EP02_01f", 8, 9, 100, 12),
    ("EP03_02", 120, 131, 160, "R14+17"),
    ("EP04_04", 31, 47, 70, "1+2"),
    ("EP06_02f", 60, "/", 90, "4+7"),
    ("EP13_04", 60, 70, 90, "?"),
    ("EP19_06f", 99, 101, 120, "4+?"),
)
"""Name, onset, apex, offset and units; '/' and '?' are what the real table has."""


def write(root: Path) -> DatasetSettings:
    """Write the fake below ``root``."""
    write_table(root, [(person, *clip) for person in PEOPLE for clip in CLIPS])
    for person in PEOPLE:
        for name, onset, _, offset, _ in CLIPS:
            for frame in range(int(str(onset)), int(str(offset)), 1 if person == 1 else 200):
                write_frame(root, person, name, frame)
            for _, _, apex, _, _ in [clip for clip in CLIPS if clip[0] == name and clip[2] != "/"]:
                write_frame(root, person, name, int(str(apex)))
    folds = save_folds(root, ["sub01", "sub02", "sub04"], ["sub08", "sub09"])
    return DatasetSettings(root=root, options=CASME2Options(folds_file=folds))


def write_frame(root: Path, person: int, clip: str, frame: int, folder: str = "Cropped") -> None:
    """Write a frame of a clip."""
    prefix = "reg_img" if folder == "Cropped" else "img"
    save(root / folder / f"sub{person:02d}" / clip / f"{prefix}{frame}.jpg", (24, 24))


def write_table(root: Path, rows: Sequence[Sequence[object]], header: Sequence[object] = HEADER) -> None:
    """Write the coding table: person, name, onset, apex, offset and units of each clip."""
    told = [(who, name, None, *frames, None, units, "others") for who, name, *frames, units in rows]
    save_workbook(root / "CASME2-coding-20140508.xlsx", [header, *told])
