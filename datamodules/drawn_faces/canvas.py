"""A small drawing surface in face units over OpenCV's anti-aliased polygons."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from datamodules.drawn_faces.furrows import Bulge, Furrow
from datamodules.drawn_faces.geometry import Points
from datamodules.drawn_faces.person import Colour

EXTENT = 1.6  # the canvas shows face units -EXTENT..EXTENT in both directions
_SHIFT = 4  # OpenCV's fixed-point sub-pixel bits
_TURN = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], 1)


def box_of(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that hold all of a mask (uint8): work on them costs a part of work on the canvas."""
    x, y, width, height = cv2.boundingRect(mask)
    return slice(y, y + height), slice(x, x + width)


class Canvas:
    """An RGB picture and its coverage, ``pixels`` x ``pixels``, that is drawn on in face units."""

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels
        self.scale = pixels / (2 * EXTENT)
        self.image: np.ndarray = np.zeros((pixels, pixels, 3), np.uint8)
        self.coverage = np.zeros((pixels, pixels), np.uint8)
        self._axis = (np.arange(pixels) + 0.5) / self.scale - EXTENT

    def to_pixels(self, points: Points) -> np.ndarray:
        """Face units to OpenCV's fixed-point pixel coordinates, int32 [n, 1, 2]."""
        shifted = ((np.asarray(points) + EXTENT) * self.scale - 0.5) * (1 << _SHIFT)
        return np.round(shifted).astype(np.int32).reshape(-1, 1, 2)

    def polygon(self, points: Points, colour: Colour) -> None:
        """Fill a polygon on the picture and mark it as covered."""
        fixed = [self.to_pixels(points)]
        cv2.fillPoly(self.image, fixed, colour, cv2.LINE_AA, _SHIFT)
        cv2.fillPoly(self.coverage, fixed, (255,), cv2.LINE_AA, _SHIFT)

    def mask(self, points: Points) -> np.ndarray:
        """The coverage of one polygon alone, uint8 [pixels, pixels]."""
        found = np.zeros((self.pixels, self.pixels), np.uint8)
        cv2.fillPoly(found, [self.to_pixels(points)], (255,), cv2.LINE_AA, _SHIFT)
        return found

    def line(self, points: Points, colour: Colour, width: float) -> None:
        """Draw an open line of ``width`` face units."""
        thickness = max(1, round(width * self.scale))
        cv2.polylines(self.image, [self.to_pixels(points)], False, colour, thickness, cv2.LINE_AA, _SHIFT)

    def ellipse(self, centre: tuple[float, float], axes: tuple[float, float], colour: Colour) -> None:
        """Fill an upright ellipse."""
        self.polygon(np.array(centre) + np.array(axes) * _CIRCLE, colour)

    def shade(self, spots: Sequence[Bulge], mask: np.ndarray) -> None:
        """Lighten and darken the picture inside ``mask`` by a sum of Gaussian spots (one matrix product)."""
        table = np.array(spots, dtype=np.float32)
        x, y, spread_x, spread_y, amount = table.T
        across = np.exp(-(((self._axis[None, :] - x[:, None]) / spread_x[:, None]) ** 2), dtype=np.float32)
        down = np.exp(-(((self._axis[None, :] - y[:, None]) / spread_y[:, None]) ** 2), dtype=np.float32)
        light = (down * amount[:, None]).T @ across
        box = box_of(mask)
        self.brighten(box, 1.0 + light[box] * (mask[box].astype(np.float32) / 255.0))

    def brighten(self, box: tuple[slice, slice], gain: np.ndarray) -> None:
        """Multiply the picture in a box by ``gain``, float [rows, columns]."""
        if gain.size:
            self.image[box] = cv2.convertScaleAbs(self.image[box] * gain[:, :, None])

    def carve(self, lines: Sequence[Furrow]) -> None:
        """Darken the picture along furrows, deeper ones darker, with soft edges."""
        carved: np.ndarray = np.zeros((self.pixels, self.pixels), np.uint8)
        for furrow in sorted(lines, key=lambda found: found.depth):
            depth = int(255 * min(furrow.depth, 1.0))
            width = max(1, round(furrow.width * self.scale))
            cv2.polylines(
                carved, [self.to_pixels(furrow.points)], False, (depth,), width, cv2.LINE_AA, _SHIFT
            )
        carved = cv2.GaussianBlur(carved, (0, 0), 0.011 * self.scale)
        box = box_of(carved)
        self.brighten(box, 1.0 - 0.62 * (carved[box].astype(np.float32) / 255.0))
