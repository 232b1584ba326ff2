"""A small fake of RAF-AU: one label file with sides, nulls and blanks at the ends of lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datamodules.dataset_options.other import RAFAUOptions
from datamodules.options import DatasetSettings
from tests.data.small_pictures import save, save_folds

PICTURES = 36
CODINGS = ("1+2+L12+25 ", "4+R10+17", "12+6+25+26  ", "5+27+43+R1", "null", "9+16+L4+R4")
"""Cycled through; two of them end with blanks, AU43 is none of the 13 units."""


def write(root: Path) -> DatasetSettings:
    """Write the fake below ``root``."""
    names = []
    for number in range(1, PICTURES + 1):
        save(root / f"aligned/{number:04d}_aligned.jpg")
        names.append(f"{number:04d}")
    write_labels(root, [f"{name}.jpg {CODINGS[n % len(CODINGS)]}" for n, name in enumerate(names)])
    (root / "RAFAU_landmark.txt").write_text("0001.jpg 1,2;3,4\n", encoding="utf-8")
    coded = [name for n, name in enumerate(names) if CODINGS[n % len(CODINGS)] != "null"]
    folds = save_folds(root, coded[:15], coded[15:])
    return DatasetSettings(root=root, options=RAFAUOptions(folds_file=folds))


def write_labels(root: Path, lines: Sequence[str]) -> None:
    """Write the label file."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "RAFAU_label.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
