"""Frames of video files by number, exact to the frame, with one named error for whatever is wrong.

A label of frame k on the picture of frame k + 1 is a wrong label that nobody notices, so nothing here relies
on the numbers that a container states about itself: seeking by number is wrong for some files and decoders.
The first way to a frame is always through all frames before it, and their time stamps are kept. A later jump
is taken for right only when the frame it lands on has a time stamp that was seen on that way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what FFmpeg has to say is in our errors

import cv2
import numpy as np
import numpy.typing as npt

from datamodules.errors import BrokenVideoError
from datamodules.images import MAX_SIDE

NEAR = 64
"""Frames ahead that are reached by decoding on; a jump decodes about as many from the key frame before it."""


def split_place(place: str) -> tuple[str, int | None]:
    """A place of the index as the path of a file below the root and the number of a frame in it.

    ``videos/LeftVideoSN001_comp.avi#17`` is frame 17 (counted from 0) of a video; a picture has no number.
    """
    path, mark, number = place.rpartition("#")
    return (path, int(number)) if mark and number.isdecimal() else (place, None)


def frame_count(path: Path) -> int:
    """How many frames a video has: what its header says if its last frame is there, else all are decoded.

    Raises:
        BrokenVideoError: missing, not a video, or without a frame.
    """
    decoder = _Decoder(path, [])
    stated = int(decoder.capture.get(cv2.CAP_PROP_FRAME_COUNT))
    if stated > 0 and decoder.capture.set(cv2.CAP_PROP_POS_FRAMES, stated - 1):
        last, beyond = decoder.capture.grab(), decoder.capture.grab()
        if last and not beyond:
            decoder.close()
            return stated
    decoder.close()
    decoder = _Decoder(path, [])
    while decoder.grab():
        pass
    decoder.close()
    if not decoder.position:
        raise BrokenVideoError.of(path, 0, "it has no frame")
    return decoder.position


class Videos:
    """Reads frames; keeps one decoder open, since most reading goes on where it stopped.

    A copy in another process (a loader worker) opens its own: two that share one file would move each other's
    place in it.
    """

    def __init__(self) -> None:
        self._decoder: _Decoder | None = None
        self._process = os.getpid()
        self._times: dict[Path, list[float]] = {}

    def frame(self, path: Path, number: int) -> npt.NDArray[np.uint8]:
        """One frame.

        Args:
            path: the video.
            number: counted from 0 in the order of showing.

        Returns:
            RGB uint8 [H, W, 3].

        Raises:
            BrokenVideoError: missing, not a video, or it ends before this frame; names path and frame.
        """
        if self._process != os.getpid():
            # The parent's decoder is left as it is: closing it here would not be ours to do.
            self._decoder, self._process = None, os.getpid()
        if number < 0:
            raise BrokenVideoError.of(path, number, "frames are counted from 0")
        if self._decoder is None or self._decoder.path != path:
            self.close()
            self._decoder = _Decoder(path, self._times.setdefault(path, []))
        decoder = self._decoder
        if not decoder.position - 1 <= number <= decoder.position + NEAR or not decoder.position:
            decoder.jump(number)
        while decoder.position <= number:
            if not decoder.grab():
                raise BrokenVideoError.of(path, number, f"it ends after {decoder.position} frames")
        return decoder.picture(number)

    def close(self) -> None:
        """Let go of the open file."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    def __getstate__(self) -> dict[str, object]:
        return {}

    def __setstate__(self, state: dict[str, object]) -> None:
        del state
        self.__init__()  # type: ignore[misc]


class _Decoder:
    """An open video.

    Args:
        path: the file.
        times: time stamps of its first frames, one for each; grows whenever a new frame is passed.
    """

    def __init__(self, path: Path, times: list[float]) -> None:
        self.path = path
        self.times = times
        self.position = 0  # number of the frame that the next grab gives
        self.capture = self._opened()

    def grab(self) -> bool:
        """Go on by one frame; whether there was one."""
        if not self.capture.grab():
            return False
        if self.position == len(self.times):
            self.times.append(self.capture.get(cv2.CAP_PROP_POS_MSEC))
        self.position += 1
        return True

    def picture(self, number: int) -> npt.NDArray[np.uint8]:
        """The frame grabbed last, RGB uint8 [H, W, 3]."""
        read, frame = self.capture.retrieve()
        if not read or frame is None or frame.ndim != 3:
            raise BrokenVideoError.of(self.path, number, "it cannot be decoded")
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def jump(self, number: int) -> None:
        """Make `position` a frame at or before `number`, as near as can be known."""
        known = len(self.times)
        if self.position <= number and known <= self.position + NEAR:
            return  # the way ahead is new: it is walked, and its time stamps are noted
        target = min(number, known - 1)
        for back in (0, 1, 16, NEAR, 4 * NEAR):
            if target - back > 0 and self._land(target - back, target):
                return
        self.close()
        self.capture, self.position = self._opened(), 0

    def _land(self, asked: int, target: int) -> bool:
        """Seek, and find out by the time stamp where that led; whether it is at or before `target`."""
        if not self.capture.set(cv2.CAP_PROP_POS_FRAMES, asked) or not self.capture.grab():
            return False
        found = int(np.searchsorted(self.times, self.capture.get(cv2.CAP_PROP_POS_MSEC)))
        if found > target or self.times[found] != self.capture.get(cv2.CAP_PROP_POS_MSEC):
            return False
        if not self._rising():
            return False
        self.position = found + 1
        return True

    def _rising(self) -> bool:
        """Whether each time stamp stands for one frame (files without time stamps give 0 for all)."""
        return bool((np.diff(self.times) > 0).all())

    def _opened(self) -> cv2.VideoCapture:
        if not self.path.is_file():
            raise BrokenVideoError.of(self.path, 0, "there is no such file")
        with self.path.open("rb") as file:
            start = file.read(256)
        # FFmpeg also opens play lists, which are texts and may name any file or address.
        if not start or all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
            raise BrokenVideoError.of(self.path, 0, "it is a text" if start else "it is empty")
        settings = [cv2.CAP_PROP_N_THREADS, 1]  # loader workers share the cores
        capture = cv2.VideoCapture(str(self.path.resolve()), cv2.CAP_FFMPEG, settings)
        sides = [capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
        if not capture.isOpened() or min(sides) < 1:
            raise BrokenVideoError.of(self.path, 0, "it is no video, or its beginning is damaged")
        if max(sides) > MAX_SIDE:
            raise BrokenVideoError.of(self.path, 0, f"its pictures have more than {MAX_SIDE} pixels a side")
        return capture

    def close(self) -> None:
        """Let go of the file."""
        self.capture.release()


def stream(path: Path) -> Iterator[tuple[float, Callable[[], npt.NDArray[np.uint8]]]]:
    """All frames of a video, one after the other.

    Yields:
        The time of a frame in milliseconds, and what gives it as RGB uint8 [H, W, 3]: to be called before the
        next one is taken, or not at all.

    Raises:
        BrokenVideoError: missing, not a video, without a frame; after the last frame: its header says that
            there are more.
    """
    decoder = _Decoder(path, [])
    try:
        while decoder.grab():
            number = decoder.position - 1
            yield decoder.times[number], partial(decoder.picture, number)
        if not decoder.position:
            raise BrokenVideoError.of(path, 0, "it has no frame")
        stated = int(decoder.capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if decoder.position < stated:
            said = f"it ends after {decoder.position} of the {stated} frames that its header says"
            raise BrokenVideoError.of(path, decoder.position, said)
    finally:
        decoder.close()


def frame_rate(path: Path) -> float:
    """Frames a second, as the header says; 25 where it does not.

    Raises:
        BrokenVideoError: missing, or not a video.
    """
    decoder = _Decoder(path, [])
    rate = float(decoder.capture.get(cv2.CAP_PROP_FPS))
    decoder.close()
    return rate if 0 < rate < 1000 else 25.0
