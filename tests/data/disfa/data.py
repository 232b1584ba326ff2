"""A fake of DISFA as it is distributed, quirks included; see `write`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datamodules.action_units import DISFA_AUS, Scale
from datamodules.canonical import DISFA_PARTS
from datamodules.dataset_options.core import DISFAOptions
from datamodules.expected_counts import Expected
from datamodules.options import DatasetSettings
from tests.data.drawn import frame, labels, save, save_folds, save_text, save_video, spread_positives

PEOPLE = ("SN001", "SN002", "SN009", "SN006", "SN011", "SN012", "SN003", "SN004", "SN005")
"""Three of each canonical part."""
ALL_PEOPLE = tuple(sorted(person for part in DISFA_PARTS for person in part.split()))
FRAMES = 5


def number(person: str) -> int:
    """The number of the drawn person."""
    return ALL_PEOPLE.index(person)


def write(root: Path) -> DatasetSettings:
    """Nine people, five label rows each; one video has a frame more than labels, one a frame less."""
    for person in PEOPLE:
        write_person_labels(root, person, FRAMES)
        count = FRAMES + {"SN002": 1, "SN009": -1}.get(person, 0)
        ending = "_Comp.avi" if person == "SN003" else "_comp.avi"
        write_video(root / f"Videos_LeftCamera/LeftVideo{person}{ending}", person, count)
    write_landmarks(root)
    folds = save_folds(root, PEOPLE[:3], PEOPLE[3:5], PEOPLE[5:])
    return DatasetSettings(root=root, options=DISFAOptions(folds_file=folds))


def write_full(root: Path, frames: int = 4) -> DatasetSettings:
    """All 27 people, a few frames each."""
    for person in ALL_PEOPLE:
        write_person_labels(root, person, frames)
        write_video(root / f"Videos_LeftCamera/LeftVideo{person}_comp.avi", person, frames)
    return DatasetSettings(root=root)


def write_video(path: Path, person: str, frames: int, first: int = 0) -> None:
    """A video whose frame k shows face ``first + k``."""
    save_video(path, [frame(number(person), first + one) for one in range(frames)])


def write_frames(folder: Path, person: str, frames: int, first_name: int = 0, digits: int = 1) -> None:
    """Extracted frames; the name of the first is ``first_name``, what it shows is always face 0."""
    for one in range(frames):
        save(folder / f"{person}/{one + first_name:0{digits}d}.png", frame(number(person), one))


def write_landmarks(root: Path) -> None:
    """What the landmark folders of DISFA look like: nested, one file too many, none for some frames."""
    for name in ("SN001_0000_lm.mat", "SN001_0001_lm.mat", "l00002_lm.mat"):
        save_text(root / "Landmark_Points/Landmark_Points/SN001/tmp_frame_lm" / name, "MATLAB 5.0")


def write_labels(root: Path, counts: Expected) -> DatasetSettings:
    """Labels alone, with exactly the expected frames and positives (level 2 and more) of every person."""
    for person, count in counts.subjects.items():
        table = spread_positives(count.frames, count.positives)
        frames = np.arange(1, count.frames + 1)
        for code in DISFA_AUS:
            levels = frames % 2  # levels 0 and 1 where the Action Unit does not count as present
            if code in counts.aus:
                present = table[:, counts.aus.index(code)] == 1
                levels = np.where(present, 2 + frames % 4, levels)
            lines = (f"{one},{level}\n" for one, level in enumerate(levels.tolist(), 1))
            save_text(root / f"ActionUnit_Labels/{person}/{person}_{code.lower()}.txt", "".join(lines))
    return DatasetSettings(root=root, options=DISFAOptions(pictures=False))


def write_person_labels(root: Path, person: str, frames: int, codes: Sequence[str] = DISFA_AUS) -> None:
    """One file for each Action Unit: frame (from 1) and level; row k is about face k - 1."""
    levels = [labels(number(person), one, DISFA_AUS, Scale.LEVEL) for one in range(frames)]
    for code in codes:
        column = DISFA_AUS.index(code)
        text = "".join(f"{one + 1},{int(levels[one][column])}\n" for one in range(frames))
        save_text(root / f"ActionUnit_Labels/{person}/{person}_{code.lower()}.txt", text)
