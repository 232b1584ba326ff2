"""A small fake of Aff-Wild2: crops with gaps, rows with -1, ends that differ, two people in one video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datamodules.dataset_options.other import AffWild2Options
from datamodules.options import DatasetSettings
from tests.data.small_pictures import save, save_folds

AUS = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU15", "AU23", "AU24", "AU25", "AU26")
TRAIN = ("1-30-1280x720", "105", "video10", "video10_left", "video44", "video5_right")
VALIDATION = ("24-30-1920x1080-1", "video67", "video67_left")
ROWS = (
    (0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0),
    (1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1),
    (0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 0, 0),
    (0, 0, 1, 0, 1, 1, 0, 1, 1, -1, 0, 0),
    (-1,) * 12,
    (0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0),
    (1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0),
)
"""Of every video; crops are there of all rows but the third, and of an eighth frame that has no row."""


def write(root: Path, challenge: str = "annotations/AU_Detection_Challenge") -> DatasetSettings:
    """Write the fake below ``root``."""
    for part, videos in (("Train_Set", TRAIN), ("Validation_Set", VALIDATION)):
        for video in videos:
            write_video(root / challenge / part, video, ROWS)
            for number in (1, 2, 4, 5, 6, 7, 8):
                save(root / f"cropped_aligned/{video}/{number:05d}.jpg", (112, 112))
    (root / "cropped_aligned" / TRAIN[0] / ".DS_Store").write_bytes(b"\x00\x01Bud1\xff")
    for other in ("annotations/EXPR_Recognition_Challenge", "annotations/VA_Estimation_Challenge"):
        (root / other).mkdir(parents=True)
    folds = save_folds(root, TRAIN[:4], (*TRAIN[4:], *VALIDATION))
    return DatasetSettings(root=root, options=AffWild2Options(folds_file=folds))


def write_video(
    folder: Path, video: str, rows: Sequence[Sequence[object]], header: Sequence[str] = AUS
) -> Path:
    """Write the label file of a video."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{video}.txt"
    lines = [",".join(header), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
