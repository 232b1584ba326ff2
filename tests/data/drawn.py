"""What the fakes of the video datasets share: drawn faces, the labels of what they do, and videos."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from datamodules.action_units import Scale
from datamodules.drawn_faces.actions import action_unit_value, draw_actions
from datamodules.drawn_faces.scene import draw_face
from datamodules.synthetic import code_amount

POPULATION = 5
FACE = 192  # pixels: a side at which the face detector works
FRAME = (240, 320)  # height and width of the whole picture

Picture = npt.NDArray[np.uint8]


@lru_cache(maxsize=4096)
def frame(person: int, number: int) -> Picture:
    """A face in a larger grey picture, RGB uint8 [240, 320, 3]; the same two numbers give the same one."""
    picture = np.full((*FRAME, 3), 90, np.uint8)
    top, left = (FRAME[0] - FACE) // 2, (FRAME[1] - FACE) // 2
    picture[top : top + FACE, left : left + FACE] = draw_face(POPULATION, person, number, FACE)[0]
    return picture


def labels(person: int, number: int, codes: Sequence[str], scale: Scale) -> list[float]:
    """What a coder would write for this face."""
    actions = draw_actions(np.random.default_rng([POPULATION, person, number]))
    return [code_amount(action_unit_value(actions, code), scale) for code in codes]


def plain(grey: int) -> Picture:
    """A small picture of one grey, by which a test knows it; JPEG and MJPG keep it within 3."""
    return np.full((16, 16, 3), grey, np.uint8)


def save(path: Path, picture: Picture) -> None:
    """Write a picture file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=95)


def save_video(path: Path, pictures: Sequence[Picture]) -> None:
    """Write an .avi of complete pictures (MJPG) or an .mp4, 20 frames in a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    size = pictures[0].shape[1], pictures[0].shape[0]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 20.0, size)
    for picture in pictures:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()


def save_text(path: Path, text: str) -> Path:
    """Write a text file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def save_folds(root: Path, *folds: Sequence[str]) -> str:
    """Write a user's fold list and return its path."""
    return str(
        save_text(root / "my_folds.txt", "# mine\n" + "\n".join(" ".join(fold) for fold in folds) + "\n")
    )


def spread_positives(frames: int, positives: Sequence[int]) -> npt.NDArray[np.int64]:
    """[frames, A] of 0 and 1 with so many ones in each column, at other frames in every column."""
    table = np.zeros((frames, len(positives)), np.int64)
    for column, count in enumerate(positives):
        table[(np.arange(count) + 37 * column) % frames, column] = 1
    return table
