"""A small fake of GFT. The real format is not public: this is one that a user describes by options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from datamodules.dataset_options.other import GFTOptions
from datamodules.options import DatasetSettings
from tests.data.small_pictures import save, save_folds

PEOPLE = tuple(f"{group:03d}{letter}" for group in (1, 2, 17) for letter in "ABC")
UNITS = (1, 4, 12, 24)
HEADER = ("Frame", *(f"AU{number}" for number in UNITS), "AU28", "remark")
ROWS = (
    (1, 0, 1, 0, 1, 0, "a"),
    (2, 1, 0, 9, 0, 1, "occluded"),
    (3, 1, -999, "NaN", "", 0, "b"),
    (4, 0, 0, 1, 0, 0, "c"),
    (5, 9, 9, 9, 9, 9, "uncoded"),
    (10, 1, 1, 1, 1, 1, "d"),
)
"""Frame, units, a unit that is not asked for, and text."""


def write(root: Path) -> DatasetSettings:
    """Write the fake below ``root``; two of the participants whose files are there are not on the list."""
    for person in (*PEOPLE, "900A", "900B"):
        write_labels(root, person, ROWS)
        for frame in (1, 2, 3, 4, 5, 10):
            save(root / person / f"{frame}.jpg")
    (root / "participants.txt").write_text("# my own list\n" + "\n".join(PEOPLE) + "\n", encoding="utf-8")
    folds = save_folds(root, PEOPLE[:3])
    return DatasetSettings(root=root, options=GFTOptions(units=list(UNITS), folds_file=folds))


def write_labels(
    root: Path, person: str, rows: Sequence[Sequence[object]], header: Sequence[str] = HEADER
) -> None:
    """Write the label file of a participant."""
    path = root / "annotations" / f"{person}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n", encoding="utf-8")


def write_video(path: Path, frames: int) -> None:
    """Write a video whose frame n (from 0) has the grey value 20 n."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
