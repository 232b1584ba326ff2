"""A fake of FEAFA and FEAFA+ as they are distributed, quirks included; see `write`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datamodules.action_units import FEAFA_AUS, Scale
from datamodules.dataset_options.core import FEAFAOptions
from datamodules.options import DatasetSettings
from tests.data.disfa.data import write_video
from tests.data.drawn import frame, labels, save, save_folds, save_text

SEQUENCES = ("PV001", "PV002", "PV020", "PV021", "PV022", "PV057", "PV058", "PV126", "PV127")
ALL_SEQUENCES = tuple(f"PV{one:03d}" for one in range(1, 128))
ANNOTATORS = {2: "gong2_2_", 5: "", 10: "li2_10_", 26: "cao2_26_", 30: "cao2_30_"}
"""Number of a DISFA video -> what stands before the frame in the names of part B."""


def number(sequence: str) -> int:
    """The number of the drawn person."""
    return 100 + int(sequence[2:])


def write(root: Path) -> DatasetSettings:
    """Nine sequences of part A (frames 0, 1, 994, and a picture without labels); a folder of part B."""
    for row, sequence in enumerate(SEQUENCES):
        write_sequence(root / f"FEAFA/{sequence}.output", sequence, (0, 1, 994), (".jpg", ".png")[row % 2])
        save(root / f"FEAFA/{sequence}.output/00000002.jpg", frame(number(sequence), 3))
    write_part_b(root / "FEAFA+B", 2, (0, 1))
    save_text(root / "__MACOSX/FEAFA/PV001.output/._00000000.auw", "resource fork")
    folds = save_folds(root, SEQUENCES[:3], SEQUENCES[3:5], SEQUENCES[5:])
    return DatasetSettings(root=root, options=FEAFAOptions(folds_file=folds))


def write_full(root: Path, frames: int = 2) -> DatasetSettings:
    """All 127 sequences of part A, a few frames each."""
    for sequence in ALL_SEQUENCES:
        write_sequence(root / f"{sequence}.output", sequence, range(frames))
    return DatasetSettings(root=root)


def write_sequence(folder: Path, sequence: str, frames: Sequence[int], suffix: str = ".jpg") -> None:
    """Pictures and the labels of what they show."""
    for one in frames:
        save(folder / f"{one:08d}{suffix}", frame(number(sequence), one % 4))
        save_text(
            folder / f"{one:08d}.auw", line(labels(number(sequence), one % 4, FEAFA_AUS, Scale.INTENSITY))
        )


def write_part_b(folder: Path, video: int, frames: Sequence[int]) -> None:
    """The label files of one video of DISFA, without pictures; values of frame n are n hundredths."""
    for one in frames:
        path = folder / f"{video}.output/{ANNOTATORS[video]}{one:08d}.auw"
        save_text(path, line([one / 100] * len(FEAFA_AUS)))


def write_disfa_video(root: Path, video: int, frames: int) -> None:
    """The left video of DISFA that part B is about."""
    person = f"SN{video:03d}"
    write_video(root / f"Videos_LeftCamera/LeftVideo{person}_comp.avi", person, frames)


def line(values: Sequence[float]) -> str:
    """The content of a .auw file."""
    return " ".join(f"{value:g}" for value in values) + "\n"
