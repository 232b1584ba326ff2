"""Frames that JAA-Net leaves out for want of landmarks: its numbers are of the others. No torch here.

The ranges are ME-GraphAU's lists less JAA-Net's (both public), first and last frame inclusive, numbered as in
the label files. The labels of these frames are valid; ME-GraphAU, MDHR and others keep them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

BP4D_WITHOUT_LANDMARKS: Final = {
    "F017/T3": ((198, 201), (203, 206), (209, 263), (265, 267), (269, 332), (335, 335)),
    "F021/T3": ((223, 227),),
    "F023/T6": ((1002, 1031),),
    "M003/T5": ((844, 845),),
    "M003/T7": ((1386, 1461),),
    "M009/T4": ((749, 753), (755, 760)),
    "M010/T6": ((942, 957),),
}
"""271 frames of BP4D."""

DISFA_BAD_LANDMARKS: Final = {
    "SN001": (
        (398, 420),
        (3190, 3243),
    ),
    "SN002": ((800, 826),),
    "SN004": ((4541, 4555),),
    "SN006": ((1349, 1405),),
    "SN009": (
        (1736, 1808),
        (1851, 1885),
    ),
    "SN011": (
        (4529, 4533),
        (4830, 4845),
    ),
    "SN021": (
        (574, 616),
        (985, 1164),
        (1190, 1205),
        (1305, 1338),
        (1665, 1710),
        (1862, 2477),
        (2554, 4657),
        (4710, 4722),
    ),
    "SN023": (
        (1021, 1049),
        (3378, 3557),
        (3584, 3668),
        (4547, 4621),
        (4741, 4772),
        (4825, 4845),
    ),
    "SN025": (
        (4596, 4662),
        (4816, 4835),
    ),
    "SN027": (
        (3461, 3494),
        (4738, 4785),
    ),
    "SN028": (
        (1875, 1885),
        (4571, 4690),
    ),
    "SN029": ((4090, 4543),),
    "SN030": (
        (939, 962),
        (1406, 1422),
        (2100, 2132),
        (2893, 2955),
    ),
}
"""4,670 frames of DISFA."""


def inside_ranges(frames: npt.NDArray[np.int64], ranges: Sequence[tuple[int, int]]) -> npt.NDArray[np.bool_]:
    """[n]: whether each frame lies in one of the ranges, first and last inclusive."""
    chosen = np.zeros(len(frames), dtype=np.bool_)
    for first, last in ranges:
        chosen |= (frames >= first) & (frames <= last)
    return chosen
