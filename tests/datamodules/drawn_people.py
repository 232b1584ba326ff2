"""A folder of drawn people for the tests of crops and stores: faces, a picture without one, a broken file."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from datamodules.drawn_faces.scene import draw_face
from datamodules.folder import Folder
from datamodules.options import DatasetSettings, LoaderSettings

PEOPLE, FACES = 4, 5
NO_FACE, BROKEN = "p1/7.png", "p2/8.png"
"""Samples of the folder that no crop can be made of."""


@cache
def frame(
    person: int, number: int, width: int = 240, height: int = 200, face: int = 128
) -> npt.NDArray[np.uint8]:
    """A grey frame with a face in its middle, RGB uint8 [height, width, 3]."""
    image = np.full((height, width, 3), 90, np.uint8)
    top, left = (height - face) // 2, (width - face) // 2
    image[top : top + face, left : left + face] = draw_face(0, person, number, face)[0]
    return image


def write_people(root: Path, people: int = PEOPLE, faces: int = FACES, flaws: bool = True) -> Path:
    """Write the folder; frames are numbered from 8 on, so that 10 comes after 9 only by number."""
    rows = [
        (f"p{person}/{8 + number}.png", f"p{person}") for person in range(people) for number in range(faces)
    ]
    for name, subject in rows:
        (root / subject).mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame(int(subject[1:]), int(Path(name).stem))).save(root / name)
    if flaws:
        Image.fromarray(np.full((60, 80, 3), 90, np.uint8)).save(root / NO_FACE)
        rows.append((NO_FACE, "p1"))
        (root / BROKEN).write_bytes((root / BROKEN).read_bytes()[:200])
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "subject", "AU1"), *((*row, "1") for row in rows)])
    return root


def folder(root: Path, prepared: Path | None = None, strict: bool = False) -> Folder:
    """The dataset over it."""
    return Folder(DatasetSettings(root=root, prepared=prepared, strict=strict), LoaderSettings())


def files_of(store: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}
