"""A fake of BP4D+ as it is distributed, quirks included; see `write`."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from datamodules.action_units import BP4D_AUS, Scale
from datamodules.bp4d_files import INTENSITY_AUS
from datamodules.bp4d_plus import ALL_CODED
from datamodules.dataset_options.core import BP4DPlusOptions
from datamodules.options import DatasetSettings
from tests.data.drawn import Picture, frame, labels, save, save_folds, save_text, save_video

PEOPLE = ("M040", "F072", "F074", "F012", "F029", "F054", "F001", "M058", "F041")
"""At least two of each fold of FMAE-IAT."""
UNPACKED, AS_VIDEOS = "F012", "F054"
CODED_TASKS = (1, 7)
FRAMES = (9, 10, 11)  # names of one and of two digits above the padding


def number(person: str) -> int:
    """The number of the drawn person."""
    return PEOPLE.index(person)


def write(root: Path) -> DatasetSettings:
    """Nine people; zips, one person unpacked, one as mp4; F041 has a label more than pictures."""
    for person in PEOPLE:
        members: dict[str, Picture] = {}
        for task in CODED_TASKS:
            extra = (12,) if person == "F041" and task == 7 else ()
            write_occurrence(root / "AUCoding/AU_OCC", person, task, (*FRAMES, *extra))
            digits = 4 if number(person) % 3 == 0 else 3
            for one in FRAMES:
                members[f"{person}/T{task}/{one:0{digits}d}.jpg"] = frame(number(person), one % 4)
        members[f"{person}/T2/001.jpg"] = frame(number(person), 0)  # pictures of a task that nobody coded
        if person == UNPACKED:
            for name, picture in members.items():
                save(root / "2D+3D" / name, picture)
        elif person == AS_VIDEOS:
            for task in CODED_TASKS:
                pictures = [frame(number(person), one % 4) for one in range(1, max(FRAMES) + 1)]
                save_video(root / f"2D+3D/{person}_T{task}.mp4", pictures)
        else:
            write_archive(root / f"2D+3D/{person}.zip", members)
    save_text(root / "Physiology/F042/T11/BP_mmHg.txt", "90.0\n")
    folds = save_folds(root, PEOPLE[:3], PEOPLE[3:5], PEOPLE[5:])
    return DatasetSettings(root=root, options=BP4DPlusOptions(folds_file=folds))


def write_archive(path: Path, members: dict[str, Picture]) -> None:
    """A zip of pictures, with what else such archives hold."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, picture in members.items():
            content = BytesIO()
            Image.fromarray(picture).save(content, "JPEG", quality=95)
            archive.writestr(name, content.getvalue())
        first = next(iter(members))
        archive.writestr(first.replace(".jpg", ".obj"), "v 0 0 0\n")
        archive.writestr(f"__MACOSX/{first}", "resource fork")


def write_occurrence(folder: Path, person: str, task: int, frames: Sequence[int]) -> None:
    """One occurrence file of the named form: 34 Action Units, a 9 for AU2 in the second row."""
    numbers = [int(code[2:]) for code in ALL_CODED]
    lines = [",".join(["0", *(str(one) for one in numbers)])]
    for row, one in enumerate(frames):
        present = labels(number(person), one % 4, BP4D_AUS, Scale.PRESENCE)
        values = {int(code[2:]): int(value) for code, value in zip(BP4D_AUS, present, strict=True)}
        if row == 1:
            values[2] = 9
        lines.append(",".join([str(one), *(str(values.get(au, 0)) for au in numbers)]))
    save_text(folder / f"{person}_T{task}.csv", "\n".join(lines) + "\n")


def write_intensity(folder: Path, person: str, task: int, frames: Sequence[int]) -> None:
    """The five intensity files of a sequence."""
    for column, code in enumerate(INTENSITY_AUS):
        levels = [labels(number(person), one % 4, INTENSITY_AUS, Scale.LEVEL)[column] for one in frames]
        au = f"AU{int(code[2:]):02d}"
        text = "".join(f"{one},{int(level)}\n" for one, level in zip(frames, levels, strict=True))
        save_text(folder / f"{au}/{person}_T{task}_{au}.csv", text)
