"""What a face detector is, and what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Detection:
    """One face that a detector found, in pixels of the picture.

    Attributes:
        box: left, top, width, height; may reach beyond the picture.
        landmarks: float32 [5, 2] (x, y): the person's right eye, left eye, nose tip, right and left corner of
            the mouth; None from a detector that has none.
        score: 0 to 1.
    """

    box: tuple[float, float, float, float]
    landmarks: npt.NDArray[np.float32] | None
    score: float


class FaceDetector(Protocol):
    """What a detector is. It is made in each process that uses it, with the lowest score it may report."""

    version: str
    """Which network, in words: it is recorded beside the crops."""

    def __init__(self, min_score: float) -> None:
        """Load the network."""
        ...

    def detect(self, image: npt.NDArray[np.uint8]) -> Sequence[Detection]:
        """Every face of an RGB picture uint8 [H, W, 3]."""
        ...
