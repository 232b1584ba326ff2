"""From a box or five points to the square crop: one similarity transform and one careful resampling.

A transform is float64 [2, 3] and takes pixel centres (x, y) of the picture to pixel centres of the crop.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

TEMPLATE: Final = (
    np.array(
        [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
    )
    / 112
)
"""ArcFace's five points (Deng et al. 2019, insightface `face_align.py`), as shares of the crop: the eye on
the picture's left, the other eye, nose tip, mouth corners."""


def box_transform(box: tuple[float, float, float, float], size: int, margin: float) -> Matrix:
    """Upright crop: the square around the box's middle with its longer side, and the margin on every side.

    Args:
        box: left, top, width, height in the picture.
        size: side of the crop in pixels.
        margin: share of the longer side added on every side.
    """
    x, y, width, height = box
    scale = size / (max(width, height) * (1 + 2 * margin))
    centre = np.array([x + width / 2, y + height / 2])
    return _matrix(complex(scale), complex(*(size / 2 - scale * centre)))


def five_point_transform(points: npt.NDArray[np.float32], size: int, margin: float) -> Matrix:
    """The turn, scale and shift that bring five points nearest to the template (least squares, no mirror).

    Args:
        points: [5, 2] in the picture, in the order of `TEMPLATE`.
        size: side of the crop in pixels.
        margin: share of the template's side added on every side.

    Source: Umeyama 1991, which for two dimensions is a regression of complex numbers.
    """
    target = (TEMPLATE + margin) / (1 + 2 * margin) * size
    source = _as_complex(np.asarray(points, np.float64) + 0.5)
    wanted = _as_complex(target)
    spread = source - source.mean()
    turn = complex(np.vdot(spread, wanted - wanted.mean()) / max(np.vdot(spread, spread).real, 1e-9))
    return _matrix(turn, complex(wanted.mean() - turn * source.mean()))


def cut(image: npt.NDArray[np.uint8], matrix: Matrix, size: int) -> npt.NDArray[np.uint8]:
    """The crop under a transform; black beyond the picture.

    What the crop needs of the picture is shrunk by averaging first, so that fine detail does not alias.

    Args:
        image: RGB uint8 [H, W, 3].
        matrix: from `box_transform` or `five_point_transform`.
        size: side of the crop in pixels.

    Returns:
        RGB uint8 [S, S, 3].
    """
    left, top, right, bottom = _needed(matrix, size, image.shape[1], image.shape[0])
    if right <= left or bottom <= top:
        return np.zeros((size, size, 3), np.uint8)
    part = image[top:bottom, left:right]
    scale = min(1.0, float(np.hypot(matrix[0, 0], matrix[1, 0])))
    shape = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    ratio = np.array([shape[0] / part.shape[1], shape[1] / part.shape[0]])
    if scale < 1:
        part = np.asarray(cv2.resize(part, shape, interpolation=cv2.INTER_AREA), np.uint8)
    linear = matrix[:, :2] / ratio
    # A pixel p of the shrunk part lies at (p + 0.5) / ratio - 0.5 + (left, top) of the picture.
    corner = 0.5 / ratio - 0.5 + np.array([left, top])
    offset = matrix[:, :2] @ corner + matrix[:, 2]
    warped = cv2.warpAffine(part, np.hstack([linear, offset[:, None]]), (size, size), flags=cv2.INTER_LINEAR)
    return np.asarray(warped, np.uint8)


def _needed(matrix: Matrix, size: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the part of the picture that the crop shows."""
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([(x, y) for x in (-0.5, size - 0.5) for y in (-0.5, size - 0.5)])
    places = corners @ inverse[:, :2].T + inverse[:, 2]
    low = np.clip(np.floor(places.min(0)) - 2, 0, (width, height))
    high = np.clip(np.ceil(places.max(0)) + 3, 0, (width, height))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _matrix(turn: complex, shift: complex) -> Matrix:
    """The map turn * z + shift of coordinates that count from a pixel's corner, as one of pixel centres."""
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    offset = np.array([shift.real, shift.imag]) + linear @ (0.5, 0.5) - 0.5
    return np.hstack([linear, offset[:, None]])


def _as_complex(points: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
    return np.asarray(points[:, 0] + 1j * points[:, 1])
