"""Where everything is: the outlines of a person's face under given actions, in face units.

The origin is the centre of the face, x grows to the image's right (the subject's left), y grows downwards.
Each action moves what its muscle moves; the distances are ours, of the size that the FACS manual's pictures
show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datamodules.drawn_faces.actions import Actions
from datamodules.drawn_faces.person import Person

Points = np.ndarray  # float64 [n, 2]: x, y in face units
_T = np.linspace(-1.0, 1.0, 17)
_BOW = 1.0 - _T**2  # 0 at the ends, 1 in the middle


@dataclass(frozen=True, slots=True)
class Eye:
    """One eye. ``opening`` is the height between the lids at the centre."""

    outline: Points
    upper_lid: Points
    lower_lid: Points
    centre: tuple[float, float]
    radius: float
    opening: float


@dataclass(frozen=True, slots=True)
class Mouth:
    """The lips: outer outlines and the opening between them (empty when closed)."""

    upper: Points
    lower: Points
    opening: Points
    seam: Points
    corners: tuple[tuple[float, float], tuple[float, float]]  # image left (subject's right), image right
    gap: float
    centre: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Face:
    """Everything that is drawn of a face, in face units. Index 0 = image left = the subject's right side."""

    outline: Points
    eyes: tuple[Eye, Eye]
    brows: tuple[Points, Points]
    nose_tip: tuple[float, float]
    nose_wing: float
    mouth: Mouth
    chin: tuple[float, float]


def smooth(points: Points, steps: int = 6) -> Points:
    """A closed Catmull-Rom curve through ``points`` (``steps`` points per segment)."""
    before, after, last = np.roll(points, 1, 0), np.roll(points, -1, 0), np.roll(points, -2, 0)
    t = (np.arange(steps) / steps)[None, :, None]
    p0, p1, p2, p3 = (array[:, None, :] for array in (before, points, after, last))
    curve = 0.5 * (
        2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    return np.asarray(curve.reshape(-1, 2))


def _outline(person: Person, actions: Actions, chin: tuple[float, float]) -> Points:
    puff = 0.085 * actions["AD34"]
    smile = 0.03 * actions.both("AU12")
    thrust = 0.05 * actions["AD29"]
    width, jaw = person.face_width, person.jaw_width
    chin_x, chin_y = chin
    right_half = np.array(
        [
            [0.30, -1.10],
            [person.forehead, -0.86],
            [width, -0.40],
            [width + 0.01, 0.02],
            [width - 0.02 + smile + 0.35 * puff, 0.32],
            [jaw + 0.09 + smile + puff + 0.3 * chin_x, 0.58],
            [jaw - 0.08 + 0.6 * puff + thrust + 0.7 * chin_x, 0.80 + 0.5 * (chin_y - 1.04)],
            [0.24 + 0.6 * thrust + chin_x, chin_y - 0.05],
        ]
    )
    left_half = right_half[::-1] * [-1.0, 1.0]
    left_half[:, 0] += 2 * np.array([1.0, 0.7, 0.3, 0, 0, 0, 0, 0]) * chin_x
    return smooth(np.vstack([right_half, [[chin_x, chin_y + 0.02]], left_half, [[0.0, -1.16]]]))


def _eye(person: Person, actions: Actions, side: str) -> Eye:
    sign = 1.0 if side == "L" else -1.0
    closing, raising = actions["AU43" + side], actions["AU5" + side]
    tight, cheek, lower_brow = actions["AU7"], actions["AU6"], actions["AU4" + side]
    x, y = sign * person.eye_spacing, person.eye_y
    top = 0.080 * person.eye_opening * (1 + 0.80 * raising) * (1 - 0.42 * tight) - 0.010 * lower_brow
    bottom = 0.048 * person.eye_opening * (1 + 0.12 * raising) * (1 - 0.95 * tight - 0.45 * cheek)
    low_y = np.maximum(bottom, -0.02) * _BOW
    high_y = -top * _BOW**0.85
    high_y = high_y + (low_y + 0.006 * _BOW - high_y) * closing
    tilt = -person.eye_tilt * _T * sign
    half = person.eye_width * (1 - 0.05 * cheek)
    xs = x + half * _T
    upper = np.stack([xs, y + tilt + high_y], 1)
    lower = np.stack([xs, y + tilt + low_y], 1)
    opening = float(np.max(low_y - high_y))
    return Eye(np.vstack([upper, lower[::-1]]), upper, lower, (x, y - 0.012), 0.078, opening)


def _brow(person: Person, actions: Actions, side: str) -> Points:
    """A closed brow outline: thick inside, thin outside, lifted or lowered by AU1, AU2, AU4 (and AU9)."""
    sign = 1.0 if side == "L" else -1.0
    inner_up, outer_up, down = (actions[code + side] for code in ("AU1", "AU2", "AU4"))
    along = np.linspace(0.0, 1.0, 9)  # 0 = inner end
    x = person.eye_spacing - 0.185 + 0.015 - 0.055 * down + (person.brow_length + 0.14 + 0.03 * down) * along
    lift = 0.135 * inner_up * (1 - along) ** 1.3 + 0.145 * outer_up * np.clip(along - 0.15, 0, 1) ** 0.8
    drop = (0.085 * down + 0.035 * actions["AU9"]) * (1 - 0.65 * along)
    arch = person.brow_arch * np.sin(np.pi * np.clip(along * 0.95, 0, 1)) - 0.02 * along
    y = person.eye_y - person.brow_gap - arch - lift + drop
    thick = person.brow_thickness * (1.0 - 0.65 * along**1.5)
    top, bottom = np.stack([sign * x, y - thick], 1), np.stack([sign * x, y + thick * 0.8], 1)
    return np.vstack([top, bottom[::-1]])


def _mouth(person: Person, actions: Actions, jaw: tuple[float, float]) -> Mouth:
    tighten, press, pucker = actions["AU23"], actions["AU24"], actions["AU18"]
    half = person.mouth_width * (1 - 0.42 * pucker - 0.10 * tighten - 0.04 * actions["AD34"])
    nose_pull, raise_upper, chin_up = actions["AU9"], actions["AU10"], actions["AU17"]
    y = person.mouth_y - 0.012 * nose_pull - 0.022 * chin_up
    corners = []
    for sign, side in ((-1.0, "R"), (1.0, "L")):
        smile, stretch = actions["AU12" + side], actions["AU20" + side]
        dx = 0.085 * smile + 0.130 * stretch - 0.020 * actions["AU14"]
        dy = -0.125 * smile + 0.018 * stretch + 0.105 * actions["AU15"] + 0.2 * max(jaw[1], 0.0)
        corners.append((sign * (half + dx) + 0.35 * jaw[0], y + dy))
    (x0, y0), (x1, y1) = corners
    xs = x0 + (x1 - x0) * (_T + 1) / 2
    base = y0 + (y1 - y0) * (_T + 1) / 2
    middle = (y - (y0 + y1) / 2) * _BOW**0.8  # the middle of the lips stays when the corners move
    thin = (1 - 0.50 * tighten) * (1 - 0.55 * press) * (1 + 0.45 * pucker)
    upper_lip = person.upper_lip * thin * (1 - 0.92 * actions["AU28T"])
    lower_lip = person.lower_lip * thin * (1 - 0.92 * actions["AU28B"]) * (1 - 0.12 * chin_up)
    part, drop = actions["AU25"], max(jaw[1], 0.0)
    upper_gap = 0.022 * part + 0.055 * raise_upper
    lower_gap = 0.050 * part + 0.85 * drop + 0.075 * actions["AU16"]
    shift = jaw[0] * 0.70 * _BOW
    cupid = _BOW**0.7 - 0.16 * np.exp(-((_T / 0.16) ** 2))
    # AU10's angular bend of the upper lip.
    bend = raise_upper * 0.03 * np.exp(-(((np.abs(_T) - 0.45) / 0.25) ** 2))
    seam_y = base + middle - 0.030 * chin_up * _BOW
    top_in = seam_y - upper_gap * _BOW**0.8 - bend
    top_out = top_in - upper_lip * cupid - 0.010 * nose_pull * _BOW
    low_in = seam_y + lower_gap * _BOW**0.8
    low_out = low_in + lower_lip * _BOW**0.75
    upper = np.vstack([np.stack([xs, top_out], 1), np.stack([xs, top_in], 1)[::-1]])
    lower = np.vstack([np.stack([xs + shift, low_in], 1), np.stack([xs + shift, low_out], 1)[::-1]])
    opening = np.vstack([np.stack([xs, top_in], 1), np.stack([xs + shift, low_in], 1)[::-1]])
    seam = np.stack([xs, 0.5 * (top_in + low_in)], 1)
    return Mouth(upper, lower, opening, seam, (corners[0], corners[1]), float(np.max(low_in - top_in)),
                 (float(np.mean(xs)), float(seam_y[len(_T) // 2])))  # fmt: skip


def place(person: Person, actions: Actions) -> Face:
    """Place every outline of ``person``'s face while the muscles do ``actions``."""
    slide = 0.190 * (actions["AD30L"] - actions["AD30R"])
    drop = 0.165 * actions["AU26"]
    chin = (slide, person.chin_length + 0.8 * drop + 0.030 * actions["AD29"] - 0.030 * actions["AU17"])
    nose_y = person.eye_y + person.nose_length - 0.040 * actions["AU9"]
    wing = person.nose_width * (1 + 0.14 * actions["AU9"])
    return Face(
        outline=_outline(person, actions, chin),
        eyes=(_eye(person, actions, "R"), _eye(person, actions, "L")),
        brows=(_brow(person, actions, "R"), _brow(person, actions, "L")),
        nose_tip=(0.0, nose_y),
        nose_wing=wing,
        mouth=_mouth(person, actions, (slide, drop)),
        chin=chin,
    )
