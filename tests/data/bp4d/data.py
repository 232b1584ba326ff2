"""A fake of BP4D as it is distributed, quirks included; see `write`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from datamodules.action_units import BP4D_AUS, Scale
from datamodules.bp4d_files import INTENSITY_AUS
from datamodules.canonical import BP4D_PARTS
from datamodules.dataset_options.core import BP4DOptions
from datamodules.expected_counts import Expected
from datamodules.options import DatasetSettings
from tests.data.drawn import frame, labels, save, save_folds, save_text, save_video, spread_positives

PEOPLE = ("F001", "F002", "M001", "F003", "F005", "M002", "F004", "F006", "M003")
"""Three of each canonical part."""
ALL_PEOPLE = tuple(sorted(person for part in BP4D_PARTS for person in part.split()))
AVI_NUMBERS = {1: "01", 2: "03", 3: "07", 4: "08", 5: "09", 6: "10", 7: "11", 8: "13"}
NAMED = (1, 1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 27, 28)
"""The header of a file of the named form; the first cell stands over the frame numbers and means nothing."""
FIRST = 998  # of the coded frames of task 1: names of 3 and of 4 digits follow one another


def number(person: str) -> int:
    """The number of the drawn person."""
    return ALL_PEOPLE.index(person)


def write(root: Path) -> DatasetSettings:
    """Nine people, two tasks, packaging A below ``gaic/BP4D``: headers of both forms, 3 and 4 digits, a 9."""
    base = root / "gaic/BP4D"
    for person in PEOPLE:
        for task, first in ((1, FIRST), (8, 1)):
            frames = list(range(first, first + 4))
            write_occurrence(base / "AUCoding/AU_OCC", person, task, frames, legacy=number(person) % 2 == 0)
            for one in frames:
                width = 4 if number(person) % 3 else 3  # 4 digits for most people, 3 for others
                folder = base / f"Sequences(2D+3D)/{person}/T{task}"
                save(folder / f"{one:0{width}d}.jpg", frame(number(person), one % 8))
            save_text(folder / f"{first:04d}.obj", "v 0 0 0\n")
            save_text(folder / f"{first:04d}.mtl", "newmtl m\n")
            save_text(folder / ".DS_Store", "")
    folds = save_folds(root, PEOPLE[:3], PEOPLE[3:5], PEOPLE[5:])
    return DatasetSettings(root=root, options=BP4DOptions(folds_file=folds))


def write_full(root: Path, frames: int = 2, faces: int = 4) -> DatasetSettings:
    """All 41 people and 8 tasks, a few frames each; every person has only so many different faces."""
    for person in ALL_PEOPLE:
        for task in range(1, 9):
            coded = list(range(task, task + frames))
            shown = {one: one % faces for one in coded}
            write_occurrence(root / "AUCoding/AU_OCC", person, task, coded, shown=shown)
            for one in coded:
                path = root / f"Sequences(2D+3D)/{person}/T{task}/{one:04d}.jpg"
                save(path, frame(number(person), shown[one]))
    return DatasetSettings(root=root)


def write_fera(root: Path) -> None:
    """One person in packaging B: label files flat in AUCoding, intensities beside it."""
    write_occurrence(root / "AUCoding", "F001", 1, [1, 2, 3])
    write_intensity(root / "AU-Intensity-Codes3.0", "F001", 1, [2, 3])
    for one in (1, 2, 3):
        save(root / f"BP4D-training/F001/T1/{one:04d}.jpg", frame(0, one))


def write_avi(root: Path, tasks: Sequence[int] = (1, 2, 8)) -> None:
    """One person in packaging C: the first two of three frames are coded."""
    for task in tasks:
        write_occurrence(root / "AUCoding/AU_OCC", "F001", task, [1, 2])
        pictures = [frame(0, one) for one in (1, 2, 3)]
        save_video(root / f"videos/2F01_{AVI_NUMBERS[task]}.avi", pictures)


def write_labels(root: Path, counts: Expected) -> DatasetSettings:
    """Labels alone, with exactly the expected frames of every sequence and positives of every person."""
    columns = [int(code[2:]) for code in counts.aus]

    @cache  # 15 million cells: few rows differ from all others
    def cells(present: bytes) -> str:
        values = ["0"] * 100
        for column, one in zip(columns, present, strict=True):
            values[column] = str(one)
        return ",".join(values[1:])

    header = ",".join(str(column) for column in range(100))
    for person, count in counts.subjects.items():
        table = spread_positives(count.frames, count.positives).astype(np.uint8)
        rows = iter(table)
        for task in range(1, 9):
            first, last, _ = counts.sequences[f"{person}/T{task}"]
            lines = [f"{one},{cells(next(rows).tobytes())}" for one in range(first, last + 1)]
            save_text(root / f"AUCoding/AU_OCC/{person}_T{task}.csv", "\n".join([header, *lines, ""]))
    return DatasetSettings(root=root, options=BP4DOptions(pictures="none"))


def write_occurrence(
    folder: Path,
    person: str,
    task: int,
    frames: Sequence[int],
    legacy: bool = True,
    shown: Mapping[int, int] | None = None,
) -> Path:
    """One occurrence file; the second row has a 9 (not coded) for AU2, all codes outside the 12 are 9."""
    columns = range(100) if legacy else NAMED
    lines = [",".join(str(column) for column in columns)]
    for row, one in enumerate(frames):
        face = one % 8 if shown is None else shown[one]
        present = labels(number(person), face, BP4D_AUS, Scale.PRESENCE)
        values = {int(code[2:]): int(value) for code, value in zip(BP4D_AUS, present, strict=True)}
        if row == 1:
            values[2] = 9
        lines.append(",".join([str(one), *(str(values.get(column, 9)) for column in list(columns)[1:])]))
    return save_text(folder / f"{person}_T{task}.csv", "\n".join(lines) + "\n")


def write_intensity(folder: Path, person: str, task: int, frames: Sequence[int]) -> None:
    """The five intensity files of a sequence; that of AU10 lacks the last frame, in AU17 the first is a 9."""
    levels = {one: labels(number(person), one % 8, INTENSITY_AUS, Scale.LEVEL) for one in frames}
    for column, code in enumerate(INTENSITY_AUS):
        rows = {one: int(levels[one][column]) for one in frames}
        if code == "AU10":
            del rows[frames[-1]]
        if code == "AU17":
            rows[frames[0]] = 9
        au = f"AU{int(code[2:]):02d}"
        text = "".join(f"{one},{level}\n" for one, level in rows.items())
        save_text(folder / f"{au}/{person}_T{task}_{au}.csv", text)
