"""A small fake of EmotioNet: a table of 60 twice quoted columns, stray quotes in the URLs, dead pictures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from datamodules.dataset_options.other import EmotioNetOptions
from datamodules.options import DatasetSettings
from tests.data.small_pictures import save, save_folds, save_workbook

TABLE = "EmotioNet_FACS_aws_2020_24600"
UNITS = range(1, 61)
HEADER = ("URL", "URL orig", *(f"'AU {number}'" for number in UNITS))
FOLDERS, PICTURES = 4, 9
DEAD = ("N_0000000002_00003", "N_0000000003_00009")


def write(root: Path) -> DatasetSettings:
    """Write the fake below ``root``."""
    rows, names = [], []
    for number in range(FOLDERS * PICTURES):
        folder = f"N_{number // PICTURES + 1:010d}"
        name = f"{folder}_{number % PICTURES + 1:05d}"
        known = {1: number % 2, 2: 0, 4: int(number % 3 == 0), 12: 1, 25: number % 2, 43: 0, 45: 1}
        rows.append(row(name, {} if number == 5 else known))
        if name not in DEAD:
            suffix = ".JPG" if number == 7 else ".jpg"
            save(root / "Images" / folder / f"{name}{suffix}")
            names += [] if number == 5 else [name]
    write_table(root, rows)
    folds = save_folds(root, names[:20], names[20:])
    return DatasetSettings(root=root, options=EmotioNetOptions(folds_file=folds))


def row(name: str, known: Mapping[int, object]) -> list[object]:
    """A row of the table; units that are not in `known` are 999."""
    folder = name.rpartition("_")[0]
    url = f"http://cbcsl.ece.ohio-state.edu/dbform_emotionet/{folder}/{name}.jpg'"
    return [url, f"http://example.org/{name[-5:]}.jpg'", *(known.get(number, 999) for number in UNITS)]


def write_table(root: Path, rows: Sequence[Sequence[object]], header: Sequence[str] = HEADER) -> None:
    """Write the table as CSV."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{TABLE}.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def write_workbook(root: Path, rows: Sequence[Sequence[object]]) -> None:
    """Write the table as a workbook."""
    save_workbook(root / f"{TABLE}.xlsx", [HEADER, *rows])
