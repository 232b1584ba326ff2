"""What the user points at, one picture after the other: files, folders, patterns, prepared stores, videos."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from aullava.inference.errors import PredictionError
from datamodules.errors import DatasetError
from datamodules.images import read_image
from datamodules.store import FaceStore
from datamodules.video import stream

Image = npt.NDArray[np.uint8]
IMAGES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm"})
VIDEOS: Final = frozenset({".avi", ".mp4", ".mov", ".mkv", ".wmv", ".webm", ".mpg", ".mpeg", ".m4v"})


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture to look at.

    Attributes:
        file: its path, or the sample's id in a prepared store.
        read: gives RGB uint8 [H, W, 3]; of a video it must be called before the next picture is taken.
        frame: its number in a video, counted from 0; None: no video.
        seconds: its time in a video.
        cut: whether it is a face that was cut out already.
        reason: why there is nothing to read; empty if there is.
        number: its place among all pictures, from 1; 0: it has none.
    """

    file: str
    read: Callable[[], Image]
    frame: int | None = None
    seconds: float | None = None
    cut: bool = False
    reason: str = ""
    number: int = 0

    @property
    def name(self) -> tuple[str, str]:
        """What tells it from all others in a table."""
        return self.file, "" if self.frame is None else str(self.frame)

    @property
    def video(self) -> str | None:
        """The file that it is a frame of; None: it is a picture of its own."""
        return None if self.frame is None else self.file


def sources(words: Sequence[str]) -> list[Path]:
    """Files and prepared stores that the words of a command line name, each once, in order.

    Args:
        words: files, folders (what lies in them and below), patterns such as ``faces/*.png``.

    Raises:
        PredictionError: there is no such thing, or a folder or pattern with nothing to read.
    """
    found: dict[Path, None] = {}
    for word in words:
        path = Path(word)
        if path.is_file() or (path / "store.json").is_file():
            listed = [path]
        elif path.is_dir():
            listed = sorted(one for one in path.rglob("*") if one.suffix.lower() in IMAGES | VIDEOS)
            _some(listed, f"the folder {path} holds no picture and no video")
        elif glob.has_magic(word):
            listed = sorted(map(Path, glob.glob(word, recursive=True)))  # noqa: PTH207 - may be absolute
            _some(listed, f"no file fits '{word}'")
        else:
            raise PredictionError(
                f"there is no image {word}: give files, folders, patterns, videos or prepared stores"
            )
        found |= dict.fromkeys(listed)
    return list(found)


def pictures(paths: Sequence[Path], complain: Callable[[str], None]) -> Iterator[Picture]:
    """The pictures of all sources, numbered; one that cannot be opened gives one picture with its reason.

    Args:
        paths: from `sources`.
        complain: told in one sentence where a video ends before its header says.
    """
    for number, picture in enumerate(_all(paths, complain), start=1):
        yield replace(picture, number=number)


def is_video(path: Path) -> bool:
    """Whether a source is read as a video."""
    return path.suffix.lower() in VIDEOS


def _all(paths: Sequence[Path], complain: Callable[[str], None]) -> Iterator[Picture]:
    for path in paths:
        if (path / "store.json").is_file():
            yield from _prepared(path)
        elif is_video(path):
            yield from _frames(path, complain)
        else:
            yield Picture(str(path), partial(read_image, path))


def _frames(path: Path, complain: Callable[[str], None]) -> Iterator[Picture]:
    number = -1
    try:
        for number, (milliseconds, read) in enumerate(stream(path)):
            yield Picture(str(path), read, number, milliseconds / 1000)
    except DatasetError as error:
        if number < 0:
            yield Picture(str(path), _nothing, reason=str(error))
        else:
            complain(str(error))


def _prepared(path: Path) -> Iterator[Picture]:
    store = FaceStore.open(path)
    missing = store.missing()
    for sample_id in sorted([*store.ids(), *missing]):
        reason = missing.get(sample_id, "")
        yield Picture(sample_id, partial(store.read, sample_id), cut=True, reason=reason)


def _nothing() -> Image:
    raise AssertionError("a picture with a reason is not read")


def _some(listed: Sequence[Path], otherwise: str) -> None:
    if not listed:
        raise PredictionError(f"{otherwise}: give others")
