"""A fake of DISFA+ as it is distributed, quirks included; see `write`."""

from __future__ import annotations

from pathlib import Path

from datamodules.action_units import DISFA_AUS, Scale
from datamodules.dataset_options.core import DISFAPlusOptions
from datamodules.options import DatasetSettings
from tests.data.drawn import frame, labels, save, save_folds, save_text

PEOPLE = ("SN001", "SN003", "SN004", "SN007", "SN009", "SN010", "SN013", "SN025", "SN027")
"""All nine, who are also in DISFA."""
TRIALS = ("A1_AU1_TrailNo_2", "A9_AU4_5x_TrailNo_1")
FRAMES = 3


def number(person: str) -> int:
    """The number of the drawn person."""
    return 60 + PEOPLE.index(person)


def write(root: Path) -> DatasetSettings:
    """Nine people, two trials, three frames, below ``DISFAPlusDataset``."""
    base = root / "DISFAPlusDataset"
    for person in PEOPLE:
        for first, trial in enumerate(TRIALS):
            write_trial(base / f"Labels/{person}/{trial}", person, 3 * first)
            for one in range(FRAMES):
                save(base / f"Images/{person}/{trial}/{one:03d}.jpg", frame(number(person), 3 * first + one))
        save_text(base / f"FaceLandmarks/{TRIALS[0]}_FaceCropped.mat", "MATLAB 5.0")
    folds = save_folds(root, PEOPLE[:3], PEOPLE[3:5], PEOPLE[5:])
    return DatasetSettings(root=root, options=DISFAPlusOptions(folds_file=folds))


def write_trial(folder: Path, person: str, first: int) -> None:
    """The label files of one trial: two lines of comment, then picture and level, several spaces apart."""
    levels = [labels(number(person), first + one, DISFA_AUS, Scale.LEVEL) for one in range(FRAMES)]
    for column, code in enumerate(DISFA_AUS):
        rows = "".join(f"{one:03d}.jpg     {int(levels[one][column])}\n" for one in range(FRAMES))
        save_text(folder / f"{code}.txt", f"# {folder.name}\n# Frame   {code} intensity\n{rows}")
