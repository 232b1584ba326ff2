"""A small fake of a plain folder: a few people, several picture formats and sizes, some labels unknown."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.options import DatasetSettings, FolderOptions
from tests.data.small_pictures import save_folds

AUS = ("AU1", "AU12L", "AU12R", "AD34")
PEOPLE, FACES = 9, 4
HEADER = ("image", "subject", *AUS, "remark")


def write(root: Path) -> DatasetSettings:
    """Write the fake below ``root``, which may be missing; levels 0-5, every seventh label empty or -1."""
    generator = np.random.default_rng(3)
    rows = []
    for number in range(PEOPLE * FACES):
        person, face = divmod(number, FACES)
        image = f"person {person}/{face}.{('png', 'jpg', 'bmp')[number % 3]}"
        path = root / image
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (20 + face, 16 + person, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        levels = [str(level) for level in generator.integers(0, 6, len(AUS))]
        levels[number % len(AUS)] = ("", "-1", levels[0])[number % 3]
        rows.append((image, f"P{person}", *levels, "unread, with a comma"))
    write_table(root, rows)
    folds = save_folds(root, [f"P{person}" for person in range(4)], [f"P{person}" for person in range(4, 6)])
    return DatasetSettings(root=root, options=FolderOptions(scale="level", folds_file=folds))


def write_table(root: Path, rows: Sequence[tuple[str, ...]], header: tuple[str, ...] = HEADER) -> None:
    """Write ``labels.csv`` with these rows."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
