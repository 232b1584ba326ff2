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
        angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        self.polygon(
            np.stack([centre[0] + axes[0] * np.cos(angle), centre[1] + axes[1] * np.sin(angle)], 1), colour
        )

    def shade(self, spots: Sequence[Bulge], mask: np.ndarray) -> None:
        """Lighten and darken the picture inside ``mask`` by a sum of Gaussian spots (one matrix product)."""
        table = np.array(spots, dtype=np.float32)
        x, y, spread_x, spread_y, amount = table.T
        across = np.exp(-(((self._axis[None, :] - x[:, None]) / spread_x[:, None]) ** 2), dtype=np.float32)
        down = np.exp(-(((self._axis[None, :] - y[:, None]) / spread_y[:, None]) ** 2), dtype=np.float32)
        light = (down * amount[:, None]).T @ across
        gain = 1.0 + light * (mask.astype(np.float32) / 255.0)
        self.image = cv2.convertScaleAbs(self.image * gain[:, :, None])

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
        gain = 1.0 - 0.62 * (carved.astype(np.float32) / 255.0)
        self.image = cv2.convertScaleAbs(self.image * gain[:, :, None])
