from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from aullava.tiny_backbone import edges
from aullava.tiny_backbone.edges import CHANNELS, ORIENTATIONS, SOFT_BEND, SOFT_GRADIENT, edge_strengths


def _slowly(pixels: np.ndarray, cell: int) -> np.ndarray:
    """The same strengths pixel by pixel, not standardised: [3, S, S] to [CHANNELS, S / cell, S / cell]."""
    size = pixels.shape[-1]
    found = np.zeros((CHANNELS, size // cell, size // cell))

    def at(colour: int | slice, y: int, x: int) -> np.ndarray:
        return np.asarray(pixels[colour, min(max(y, 0), size - 1), min(max(x, 0), size - 1)])

    for y in range(size):
        for x in range(size):
            here = (y // cell, x // cell)
            gradients = [
                (float(at(c, y, x + 1) - at(c, y, x - 1)), float(at(c, y + 1, x) - at(c, y - 1, x)))
                for c in range(3)
            ]
            across, down = max(gradients, key=lambda gradient: math.hypot(*gradient))
            place = math.atan2(down, across) % math.pi / math.pi * ORIENTATIONS
            for orientation, share in ((int(place), 1 - place % 1), (int(place) + 1, place % 1)):
                found[orientation % ORIENTATIONS][here] += share * math.hypot(across, down)
            for number, (dy, dx) in enumerate(((0, 1), (1, 0), (1, 1), (1, -1)), ORIENTATIONS):
                grey = [at(slice(None), y + k * dy, x + k * dx).mean() for k in (-1, 0, 1)]
                found[number][here] += (2 * grey[1] - grey[0] - grey[2]) ** 2
    soft = np.array([SOFT_GRADIENT] * ORIENTATIONS + [SOFT_BEND] * 4)
    return np.asarray(np.log(found / cell**2 + soft[:, None, None]))


def test_strengths_are_those_counted_pixel_by_pixel() -> None:
    pixels = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 3, 24, 24))).float()
    slow = torch.from_numpy(np.stack([_slowly(picture.numpy(), 4) for picture in pixels]))
    spread = slow.var((0, 2, 3), correction=0, keepdim=True)
    wanted = (slow - slow.mean((0, 2, 3), keepdim=True)) / (spread + 1e-5).sqrt()
    torch.testing.assert_close(edge_strengths(pixels, 4).double(), wanted, atol=1e-4, rtol=1e-4)


def _stripes(period: int, size: int = 24) -> Tensor:
    """A grey picture [1, 3, S, S] of upright stripes."""
    row = torch.cos(2 * math.pi * torch.arange(size) / period)
    return row.expand(1, 3, size, size)


def test_upright_stripes_are_gradients_across() -> None:
    padded = torch.nn.functional.pad(_stripes(8), (1, 1, 1, 1), mode="replicate")
    bins = edges._oriented(padded)[0].sum((1, 2))
    assert bins[0] > 0
    assert bins[1:].abs().max() < 1e-3 * bins[0]


def test_lines_of_two_pixels_distance_show_as_bends_where_gradients_are_blind() -> None:
    """Why second differences stand beside the gradients: the fine lines of AU23 have that distance."""
    padded = torch.nn.functional.pad(_stripes(2), (1, 1, 1, 1), mode="replicate")
    inner = (..., slice(2, -2), slice(2, -2))
    assert edges._oriented(padded)[inner].abs().max() < 1e-5
    bends = edges._bends(padded.mean(1, keepdim=True))[inner].square().mean((0, 2, 3))
    assert bends[0] > 10
    assert bends[1] < 1e-5


def test_one_of_equally_strong_colours_counts() -> None:
    """A grey edge is as strong as the same edge in one colour."""
    grey = torch.zeros(1, 3, 14, 14)
    grey[..., 7:] = 1.0
    red = grey.clone()
    red[:, 1:] = 0.0
    torch.testing.assert_close(edges._oriented(grey), edges._oriented(red))
