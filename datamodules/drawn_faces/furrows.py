"""What a movement leaves on the skin: furrows (thin dark lines) and bulges (soft light), in face units.

Each entry follows the appearance changes that FACS lists for the Action Unit; depths and places are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from datamodules.drawn_faces.actions import Actions
from datamodules.drawn_faces.geometry import Face, Points
from datamodules.drawn_faces.person import Person


@dataclass(frozen=True, slots=True)
class Furrow:
    """A dark line on the skin; ``depth`` in [0, 1], ``width`` in face units."""

    points: Points
    depth: float
    width: float = 0.022


_ALONG = np.linspace(0.0, 1.0, 7)
_BELLY = 4 * _ALONG * (1 - _ALONG)

Bulge = tuple[float, float, float, float, float]  # x, y, spread x, spread y, light (+) or shade (-)


def _arc(start: tuple[float, float], end: tuple[float, float], bend: float) -> Points:
    """A shallow arc from start to end; ``bend`` is its sagitta, positive to the right of the way."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    sagitta = bend / (math.hypot(dx, dy) + 1e-9)
    points = np.empty((len(_ALONG), 2))
    points[:, 0] = start[0] + dx * _ALONG - dy * sagitta * _BELLY
    points[:, 1] = start[1] + dy * _ALONG + dx * sagitta * _BELLY
    return points


def _forehead(person: Person, actions: Actions) -> list[Furrow]:
    found = []
    inner, lower = actions.both("AU1"), actions.both("AU4")
    for row, y in enumerate((-0.60, -0.70, -0.80)):
        depth = 0.75 * inner * (1 - 0.15 * row) + person.wrinkles
        found.append(Furrow(_arc((-0.20, y), (0.20, y), 0.02), depth))
        for sign, side in ((-1.0, "R"), (1.0, "L")):
            outer = _arc((sign * 0.26, y), (sign * 0.52, y + 0.05), 0.02 * sign)
            found.append(Furrow(outer, 0.7 * actions["AU2" + side]))
    for sign in (-1.0, 1.0):
        x = sign * 0.055
        found.append(Furrow(_arc((x, -0.46), (0.8 * x, -0.26), 0.01 * sign), 0.95 * lower, 0.026))
    return found


def _nose_and_eyes(person: Person, actions: Actions, face: Face) -> list[Furrow]:
    wrinkle = actions["AU9"]
    found = [
        Furrow(_arc((-0.075, y + 0.02), (0.075, y + 0.02), -0.03), 0.8 * wrinkle) for y in (-0.14, -0.07, 0.0)
    ]
    for sign, eye in zip((-1.0, 1.0), face.eyes, strict=True):
        x, y = eye.centre
        found.append(Furrow(_arc((sign * 0.09, 0.02), (sign * 0.15, 0.12), 0.01), 0.8 * wrinkle))
        outer = x + sign * (person.eye_width + 0.035)
        for tilt in (-0.075, 0.0, 0.075):  # crow's feet
            end = (outer + sign * 0.12, y + 0.01 + tilt)
            found.append(
                Furrow(_arc((outer, y + 0.02 + 0.35 * tilt), end, 0.008), 0.9 * actions["AU6"], 0.018)
            )
        under = y + 0.085
        span = person.eye_width * 0.85
        found.append(Furrow(_arc((x - span, under), (x + span, under), 0.035), 0.85 * actions["AU7"], 0.02))
        pouch = y + 0.16
        found.append(Furrow(_arc((x - span, pouch), (x + span, pouch), 0.04), 0.6 * actions["AU6"]))
    return found


def _around_mouth(person: Person, actions: Actions, face: Face) -> list[Furrow]:
    found = []
    mouth = face.mouth
    nose_x, nose_y = face.nose_wing + 0.03, face.nose_tip[1]
    for sign, side, corner in zip((-1.0, 1.0), "RL", mouth.corners, strict=True):
        cx, cy = corner
        smile, raised, stretch = actions["AU12" + side], actions["AU10"], actions["AU20" + side]
        fold = person.fold_depth + 0.75 * smile + 0.25 * actions["AU9"]
        reach = (cx + sign * 0.085, cy - 0.01)
        found.append(Furrow(_arc((sign * nose_x, nose_y - 0.02), reach, 0.05 * sign), fold, 0.026))
        upper = (sign * (nose_x + 0.105), nose_y + 0.13)
        above = _arc((sign * (nose_x - 0.01), nose_y - 0.08), upper, 0.03 * sign)
        found.append(Furrow(above, 0.9 * raised, 0.030))
        dimple = actions["AU14"]
        pit = _arc((cx + sign * 0.035, cy - 0.055), (cx + sign * 0.03, cy + 0.055), 0.022 * sign)
        found.append(Furrow(pit, 0.9 * dimple, 0.026))
        marionette = _arc((cx + sign * 0.02, cy + 0.03), (cx + sign * 0.05, cy + 0.17), 0.015)
        found.append(Furrow(marionette, 0.85 * actions["AU15"], 0.024))
        for offset in (0.055, 0.10):
            start = (cx + sign * offset, cy - 0.07)
            found.append(Furrow(_arc(start, (start[0], cy + 0.09), 0.02 * sign), 0.6 * stretch, 0.018))
    return found


def _lips_and_chin(actions: Actions, face: Face) -> list[Furrow]:
    found = []
    mouth, (chin_x, chin_y) = face.mouth, face.chin
    mx, my = mouth.centre
    # AU18 and AU23: radial and vertical lines through the red of the lips.
    for x in np.linspace(-0.11, 0.11, 5):
        fan = 1.0 + 0.9 * actions["AU18"]
        line = _arc((mx + fan * x, my - 0.115), (mx + 0.8 * x, my - 0.05), 0.0)
        below = _arc((mx + 0.8 * x, my + 0.055), (mx + fan * x, my + 0.13), 0.0)
        depth = max(0.50 * actions["AU18"], 0.50 * actions["AU23"])
        found += [Furrow(line, depth, 0.015), Furrow(below, depth, 0.015)]
    below_lip = float(mouth.lower[:, 1].max()) + 0.035
    shelf = max(0.30, 0.85 * actions["AD29"], 0.55 * actions["AU17"], 0.5 * actions["AU24"])
    found.append(Furrow(_arc((mx - 0.14, below_lip), (mx + 0.14, below_lip), -0.03), shelf, 0.028))
    if actions["AU17"] > 0:
        for dx, dy in ((-0.09, 0.0), (0.0, -0.03), (0.09, 0.0), (-0.045, 0.055), (0.045, 0.055), (0.0, 0.04)):
            x, y = chin_x + dx, chin_y - 0.19 + dy
            found.append(
                Furrow(_arc((x - 0.018, y), (x + 0.018, y + 0.008), 0.01), 0.7 * actions["AU17"], 0.024)
            )
    for code, y in (("AU28T", float(mouth.upper[:, 1].min()) - 0.02), ("AU28B", below_lip - 0.02)):
        found.append(Furrow(_arc((mx - 0.17, y), (mx + 0.17, y), 0.012), 0.8 * actions[code], 0.03))
    if actions["AU24"] > 0:
        found.append(Furrow(mouth.seam, 0.8 * actions["AU24"], 0.020))
    return found


def furrows(person: Person, actions: Actions, face: Face) -> list[Furrow]:
    """All visible furrows of a face."""
    found = (
        _forehead(person, actions)
        + _nose_and_eyes(person, actions, face)
        + _around_mouth(person, actions, face)
        + _lips_and_chin(actions, face)
    )
    return [furrow for furrow in found if furrow.depth > 0.04]


def bulges(person: Person, actions: Actions, face: Face) -> list[Bulge]:
    """Soft light and shade of the skin: the head's own form, then what the muscles push out or pull in."""
    nose_y, (chin_x, chin_y), (mx, my) = face.nose_tip[1], face.chin, face.mouth.centre
    found: list[Bulge] = [
        (0.0, -0.70, 0.42, 0.20, 0.10),
        (0.0, 0.10, 0.05, 0.22, 0.10),
        (0.0, nose_y - 0.03, 0.07, 0.06, 0.12),
        (0.0, nose_y + 0.075, 0.12, 0.035, -0.20),
        (chin_x, chin_y - 0.16, 0.13, 0.08, 0.07 + 0.14 * actions["AU17"] + 0.22 * actions["AD29"]),
        (chin_x, chin_y + 0.01, 0.34, 0.06, -0.16),
        (mx, float(face.mouth.lower[:, 1].max()) + 0.04, 0.16, 0.03, -0.10 - 0.22 * actions["AD29"]),
        (0.0, -0.30, 0.09, 0.07, -0.12 * actions.both("AU4") + 0.08 * actions["AU9"]),
        (mx, my - 0.125, 0.17, 0.028, 0.30 * actions["AU24"] - 0.20 * actions["AU28T"]),
        (mx, my + 0.130, 0.17, 0.028, 0.30 * actions["AU24"] - 0.20 * actions["AU28B"]),
    ]
    for sign, side, corner, eye in zip((-1.0, 1.0), "RL", face.mouth.corners, face.eyes, strict=True):
        x, y = eye.centre
        cheek = 0.10 + 0.14 * actions["AU12" + side] + 0.16 * actions["AU6"]
        lift = 0.07 * actions["AU6"] + 0.05 * actions["AU12" + side]
        found += [
            (sign * 0.43, 0.23 - lift, 0.16, 0.11, cheek),
            (sign * 0.46, 0.52, 0.13, 0.15, 0.34 * actions["AD34"] - 0.05),
            (sign * 0.15, 0.02, 0.05, 0.14, -0.10),
            (x, y - 0.13, 0.17, 0.05, -0.12),
            (x, y + 0.09, 0.13, 0.03, -0.08 + 0.16 * actions["AU7"]),
            (corner[0] + sign * 0.02, corner[1], 0.045, 0.05, -0.10 - 0.35 * actions["AU14"]),
            (sign * (person.face_width - 0.02), 0.05, 0.12, 0.55, -0.18),
        ]
    return found
