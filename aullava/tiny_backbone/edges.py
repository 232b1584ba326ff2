"""How strong the edges of each small cell of a picture are, and which way they run: asked in the lessons."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

ORIENTATIONS: Final = 8
"""Bins of the gradients' orientation over half a turn; 9 in Dalal and Triggs 2005, 8 suits the grid."""
DIRECTIONS: Final = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Of second differences, as steps down and across."""
CHANNELS: Final = ORIENTATIONS + len(DIRECTIONS)
SOFT_GRADIENT: Final = 0.04
"""Added to a mean gradient before its logarithm, so that the noise of flat cells counts little; ours."""
SOFT_BEND: Final = 1.5e-3
"""The same for a mean squared second difference."""


def edge_strengths(pixels: Tensor, cell: int) -> Tensor:
    """Logarithms of the edges in each cell: of gradients by orientation, and of bends in four directions.

    Histograms of oriented gradients are what MaskFeat predicts (Wei et al. 2022, arXiv 2112.09133; Dalal and
    Triggs 2005). A gradient compares the neighbours on both sides of a pixel, which are the same in lines two
    pixels apart, so second differences stand beside it. Logarithms instead of the histograms' local norm: a
    fine line in a flat cell counts as much as a strong one beside the hair. All is standardised in the batch.

    Args:
        pixels: float RGB [B, 3, S, S], normalised.
        cell: side of a cell in pixels; divides S.

    Returns:
        float32 [B, `CHANNELS`, S / cell, S / cell], each channel of mean 0 and variance 1.
    """
    padded = nn.functional.pad(pixels.float(), (1, 1, 1, 1), mode="replicate")
    gradients = nn.functional.avg_pool2d(_oriented(padded), cell) + SOFT_GRADIENT
    bends = nn.functional.avg_pool2d(_bends(padded.mean(1, keepdim=True)).square(), cell) + SOFT_BEND
    strengths = torch.cat([gradients, bends], 1).log()
    return nn.functional.batch_norm(strengths, None, None, training=True)


def _oriented(padded: Tensor) -> Tensor:
    """Gradient of the strongest colour at each pixel, shared between its two nearest orientations.

    Args:
        padded: [B, 3, S + 2, S + 2].

    Returns:
        [B, ORIENTATIONS, S, S].
    """
    across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    gradients = torch.stack([across, down, torch.hypot(across, down)])
    strongest = gradients[:, :, :1]
    for colour in (1, 2):  # PyTorch's argmax over three took half of the whole time
        other = gradients[:, :, colour : colour + 1]
        strongest = torch.where(other[2] > strongest[2], other, strongest)
    across, down, strength = strongest
    place = torch.atan2(down, across).remainder(math.pi) / math.pi * ORIENTATIONS
    bins = torch.arange(ORIENTATIONS).view(1, -1, 1, 1)
    away = (place - bins).abs()
    shared: Tensor = strength * (1 - torch.minimum(away, ORIENTATIONS - away)).clamp(min=0)
    return shared


def _bends(grey: Tensor) -> Tensor:
    """Second differences [B, 4, S, S] of a padded grey picture along each of `DIRECTIONS`."""
    size = grey.shape[-1] - 2

    def moved(down: int, across: int) -> Tensor:
        return grey[:, :, 1 + down : 1 + down + size, 1 + across : 1 + across + size]

    return torch.cat([2 * moved(0, 0) - moved(y, x) - moved(-y, -x) for y, x in DIRECTIONS], 1)
