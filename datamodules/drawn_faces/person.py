"""Who is drawn: the permanent traits of a synthetic person.

Lengths are in face units: 1.0 is about the distance from the centre of the face to the tip of the chin.
Traits vary independently between people, so that a raised brow of one person can be where the resting brow of
another is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]

# Ours: anchors along the range of human skin tones, light to dark, sRGB 0-255.
_SKIN_TONES = np.array(
    [
        [236, 206, 184],
        [226, 186, 158],
        [211, 164, 130],
        [186, 136, 100],
        [154, 108, 76],
        [122, 82, 58],
        [96, 62, 44],
    ],
    dtype=np.float64,
)
_HAIR_COLOURS = np.array(
    [[24, 20, 19], [48, 33, 24], [86, 56, 34], [134, 94, 52], [196, 160, 96], [142, 62, 30], [168, 164, 160]],
    dtype=np.float64,
)
_IRIS_COLOURS = np.array(
    [[58, 36, 22], [92, 60, 34], [86, 98, 52], [70, 104, 138], [104, 116, 120]], dtype=np.float64
)

HAIR_STYLES = ("bald", "short", "fringe", "long", "bun")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
GLASSES = ("none", "round", "square")


@dataclass(frozen=True, slots=True)
class Person:
    """The permanent traits of one synthetic person. Colours are RGB in 0-255, lengths in face units."""

    skin: Colour
    hair: Colour
    iris: Colour
    lip: Colour
    hair_style: str
    beard: str
    glasses: str
    face_width: float
    jaw_width: float
    chin_length: float
    forehead: float
    eye_spacing: float
    eye_width: float
    eye_opening: float
    eye_tilt: float
    eye_y: float
    brow_gap: float
    brow_thickness: float
    brow_arch: float
    brow_length: float
    nose_length: float
    nose_width: float
    mouth_width: float
    mouth_y: float
    upper_lip: float
    lower_lip: float
    fold_depth: float
    wrinkles: float
    freckles: float
    texture_seed: int


def _between(anchors: np.ndarray, position: float) -> np.ndarray:
    """Linear interpolation along a list of colours; ``position`` in [0, 1]."""
    scaled = position * (len(anchors) - 1)
    low = min(int(scaled), len(anchors) - 2)
    mixed: np.ndarray = anchors[low] + (scaled - low) * (anchors[low + 1] - anchors[low])
    return mixed


def _colour(values: np.ndarray) -> Colour:
    clipped = np.clip(values, 0, 255)
    return float(clipped[0]), float(clipped[1]), float(clipped[2])


def draw_person(seed: int, number: int) -> Person:
    """Draw person ``number`` of the population ``seed``; the same two numbers always give the same person."""
    rng = np.random.default_rng([seed, number])

    def around(centre: float, spread: float) -> float:
        """A trait: normal, cut at two standard deviations so that no face is impossible."""
        return centre + spread * float(np.clip(rng.standard_normal(), -2.0, 2.0))

    skin = _between(_SKIN_TONES, rng.uniform()) + rng.normal(0, 4, 3)
    redness = np.array([16.0, -26.0, -18.0]) * rng.uniform(0.7, 1.5)
    return Person(
        skin=_colour(skin),
        hair=_colour(_HAIR_COLOURS[rng.integers(len(_HAIR_COLOURS))] * rng.uniform(0.8, 1.2)),
        iris=_colour(_IRIS_COLOURS[rng.integers(len(_IRIS_COLOURS))] * rng.uniform(0.85, 1.15)),
        lip=_colour(skin * rng.uniform(0.80, 0.92) + redness),
        hair_style=str(rng.choice(HAIR_STYLES, p=[0.12, 0.34, 0.18, 0.24, 0.12])),
        beard=str(rng.choice(BEARDS, p=[0.66, 0.12, 0.07, 0.07, 0.08])),
        glasses=str(rng.choice(GLASSES, p=[0.76, 0.12, 0.12])),
        face_width=around(0.77, 0.035),
        jaw_width=around(0.56, 0.04),
        chin_length=around(1.04, 0.035),
        forehead=around(0.62, 0.03),
        eye_spacing=around(0.345, 0.016),
        eye_width=around(0.175, 0.012),
        eye_opening=around(1.0, 0.09),
        eye_tilt=around(0.015, 0.016),
        eye_y=around(-0.13, 0.02),
        brow_gap=around(0.25, 0.018),
        brow_thickness=around(0.042, 0.009),
        brow_arch=around(0.055, 0.016),
        brow_length=around(0.25, 0.018),
        nose_length=around(0.42, 0.03),
        nose_width=around(0.135, 0.014),
        mouth_width=around(0.275, 0.018),
        mouth_y=around(0.57, 0.018),
        upper_lip=around(0.062, 0.008),
        lower_lip=around(0.082, 0.009),
        fold_depth=rng.uniform(0.05, 0.30),
        wrinkles=rng.uniform(0.0, 0.18),
        freckles=float(max(0.0, rng.normal(-0.4, 0.7))),
        texture_seed=int(rng.integers(2**31)),
    )
