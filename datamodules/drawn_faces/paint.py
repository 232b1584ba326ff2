"""From outlines to a picture: one person's head, upright, on a transparent canvas."""

from __future__ import annotations

import cv2
import numpy as np

from datamodules.drawn_faces.actions import Actions
from datamodules.drawn_faces.canvas import Canvas, box_of
from datamodules.drawn_faces.furrows import bulges, furrows
from datamodules.drawn_faces.geometry import Eye, Face, Points, place, smooth
from datamodules.drawn_faces.person import Colour, Person


def _tinted(colour: Colour, gain: float) -> Colour:
    red, green, blue = (min(255.0, channel * gain) for channel in colour)
    return red, green, blue


def _behind(canvas: Canvas, person: Person) -> None:
    """Hair behind the head, neck, shoulders and ears."""
    width = person.face_width
    if person.hair_style == "long":
        mane = [[0, -1.32], [width + 0.14, -0.9], [width + 0.26, 0.1], [width + 0.16, 1.1],
                [-width - 0.16, 1.1], [-width - 0.26, 0.1], [-width - 0.14, -0.9]]  # fmt: skip
        canvas.polygon(smooth(np.array(mane)), _tinted(person.hair, 0.85))
    elif person.hair_style == "bun":
        canvas.ellipse((0.0, -1.28), (0.28, 0.22), person.hair)
    shirt = _tinted(person.iris, 1.6)
    shoulders = np.array([[-1.5, 1.58], [-1.1, 1.36], [-0.4, 1.22], [0.4, 1.22], [1.1, 1.36], [1.5, 1.58]])
    canvas.polygon(shoulders, shirt)
    neck = np.array([[-0.40, 0.55], [-0.42, 1.34], [0.42, 1.34], [0.40, 0.55]])
    canvas.polygon(neck, _tinted(person.skin, 0.74))
    for sign in (-1.0, 1.0):
        canvas.ellipse((sign * (width + 0.03), 0.0), (0.085, 0.19), _tinted(person.skin, 0.88))


def _eye(canvas: Canvas, person: Person, eye: Eye, lid_visible: float) -> None:
    """One eye: the ball clipped to the opening between the lids, then the lids."""
    x, y = eye.centre
    ball = canvas.image.copy()
    mask = canvas.mask(eye.outline)
    painter = Canvas(canvas.pixels)
    painter.image = ball
    painter.polygon(eye.outline, (236.0, 232.0, 228.0))
    painter.ellipse((x, y), (eye.radius, eye.radius), person.iris)
    painter.ellipse((x, y), (eye.radius * 0.48,) * 2, (14.0, 12.0, 12.0))
    painter.ellipse((x + 0.025, y - 0.028), (0.016, 0.016), (250.0, 250.0, 250.0))
    box = box_of(mask)
    if mask[box].size and eye.opening > 0.012:
        weight = mask[box][:, :, None].astype(np.float32) / 255.0
        canvas.image[box] = (ball[box] * weight + canvas.image[box] * (1 - weight)).astype(np.uint8)
    dark = _tinted(person.skin, 0.30)
    canvas.line(eye.upper_lid, dark, 0.024)
    canvas.line(eye.lower_lid, _tinted(person.skin, 0.62), 0.014)
    crease = eye.upper_lid - np.array([0.0, 0.035 + 0.015 * lid_visible])
    canvas.line(crease, _tinted(person.skin, 0.68), 0.014)


def _nose(canvas: Canvas, person: Person, face: Face) -> None:
    x, y = face.nose_tip
    wing = face.nose_wing
    shade = _tinted(person.skin, 0.66)
    for sign in (-1.0, 1.0):
        side = [
            [x + sign * (wing - 0.015), y - 0.055],
            [x + sign * wing, y],
            [x + sign * (wing - 0.03), y + 0.035],
        ]
        canvas.line(np.array(side), shade, 0.02)
        canvas.ellipse((x + sign * wing * 0.48, y + 0.035), (0.038, 0.017), _tinted(person.skin, 0.36))


def _mouth(canvas: Canvas, person: Person, face: Face, actions: Actions) -> None:
    mouth = face.mouth
    if mouth.gap > 0.008:
        canvas.polygon(mouth.opening, (52.0, 20.0, 22.0))
        _teeth(canvas, mouth.opening, mouth.gap, max(actions["AU10"], 0.5), actions["AU16"])
    canvas.polygon(mouth.lower, person.lip)
    canvas.polygon(mouth.upper, _tinted(person.lip, 0.86))
    if mouth.gap <= 0.03:
        canvas.line(mouth.seam, _tinted(person.lip, 0.45), 0.016)
    middle = mouth.lower[len(mouth.lower) // 2 + 4 : -4]
    canvas.line(middle - np.array([0.0, 0.35 * person.lower_lip]), _tinted(person.lip, 1.15), 0.014)


def _teeth(canvas: Canvas, opening: Points, gap: float, upper: float, lower: float) -> None:
    half = len(opening) // 2
    top, bottom = opening[:half], opening[half:][::-1]
    white = (226.0, 220.0, 208.0)
    reach = min(0.055, 0.55 * gap) * upper * 1.3
    edge = np.minimum(top[2:-2] + np.array([0.0, reach]), bottom[2:-2])
    canvas.polygon(np.vstack([top[2:-2], edge[::-1]]), white)
    if lower > 0.1:
        reach = min(0.05, 0.45 * gap) * lower
        edge = np.maximum(bottom[3:-3] - np.array([0.0, reach]), top[3:-3])
        canvas.polygon(np.vstack([bottom[3:-3], edge[::-1]]), white)


def _beard(canvas: Canvas, person: Person, face: Face) -> None:
    if person.beard == "none":
        return
    rng = np.random.default_rng(person.texture_seed)
    (chin_x, chin_y), lip = face.chin, face.mouth
    x0, x1 = lip.corners[0][0], lip.corners[1][0]
    shapes = {
        "moustache": [[[x0, lip.corners[0][1]], [x0 * 0.5, 0.42], [x1 * 0.5, 0.42], [x1, lip.corners[1][1]],
                       [0.0, float(lip.upper[:, 1].min())]]],
        "goatee": [[[chin_x - 0.2, chin_y - 0.24], [chin_x + 0.2, chin_y - 0.24], [chin_x + 0.16, chin_y],
                    [chin_x - 0.16, chin_y]]],
    }  # fmt: skip
    jaw = face.outline[face.outline[:, 1] > 0.25]
    shapes["full"] = [jaw.tolist()]
    shapes["stubble"] = shapes["full"]
    strength = {"stubble": 0.22, "full": 0.62}.get(person.beard, 0.75)
    weight = np.zeros((canvas.pixels, canvas.pixels), np.float32)
    for shape in shapes[person.beard]:
        weight = np.maximum(weight, canvas.mask(np.array(shape)).astype(np.float32))
    grain = cv2.resize(rng.uniform(0.75, 1.0, (64, 64)).astype(np.float32), (canvas.pixels, canvas.pixels))
    weight = cv2.GaussianBlur(weight, (0, 0), 0.03 * canvas.scale) * (strength / 255.0) * grain
    box = box_of((weight > 0).view(np.uint8))
    hidden = weight[box][..., None]
    canvas.image[box] = cv2.convertScaleAbs(canvas.image[box] * (1 - hidden) + np.array(person.hair) * hidden)


def _hair(canvas: Canvas, person: Person) -> None:
    """Hair in front: a cap over the skull, low on the forehead for a fringe."""
    if person.hair_style == "bald":
        return
    width = person.face_width
    edge = {"fringe": -0.66, "short": -0.88, "long": -0.84, "bun": -0.90}[person.hair_style]
    cap = [[-width - 0.05, -0.25], [-width - 0.07, -0.75], [-0.45, -1.22], [0.0, -1.30], [0.45, -1.22],
           [width + 0.07, -0.75], [width + 0.05, -0.25], [width - 0.08, -0.55], [0.42, edge],
           [0.05, edge - 0.05], [-0.38, edge + 0.02], [-width + 0.08, -0.55]]  # fmt: skip
    canvas.polygon(smooth(np.array(cap)), person.hair)
    canvas.line(np.array([[-0.4, -1.1], [0.0, -1.18], [0.35, -1.12]]), _tinted(person.hair, 1.35), 0.05)


def _glasses(canvas: Canvas, person: Person, face: Face) -> None:
    if person.glasses == "none":
        return
    frame = (30.0, 28.0, 30.0)
    power = 2.0 if person.glasses == "round" else 5.0
    angle = np.linspace(0, 2 * np.pi, 33)
    cos, sin = np.cos(angle), np.sin(angle)
    x_out = np.sign(cos) * np.abs(cos) ** (2 / power)
    y_out = np.sign(sin) * np.abs(sin) ** (2 / power)
    for eye in face.eyes:
        rim = np.stack([eye.centre[0] + 0.235 * x_out, eye.centre[1] + 0.03 + 0.185 * y_out], 1)
        canvas.line(rim, frame, 0.024)
    y = face.eyes[0].centre[1]
    canvas.line(np.array([[-0.11, y], [0.0, y - 0.03], [0.11, y]]), frame, 0.024)
    for sign in (-1.0, 1.0):
        temple = np.array([[sign * 0.575, y], [sign * (person.face_width + 0.02), y - 0.04]])
        canvas.line(temple, frame, 0.024)


def _freckles(canvas: Canvas, person: Person, mask: np.ndarray) -> None:
    """Skin texture: broad patches for everyone, small spots for some."""
    rng = np.random.default_rng(person.texture_seed)
    patches = cv2.resize(rng.normal(1.0, 0.03, (16, 16)).astype(np.float32), (canvas.pixels, canvas.pixels))
    box = box_of(mask)
    canvas.brighten(box, 1 + (patches[box] - 1) * (mask[box].astype(np.float32) / 255.0))
    for _ in range(int(40 * person.freckles)):
        spot = (float(rng.normal(0, 0.28)), float(rng.normal(0.16, 0.1)))
        canvas.ellipse(spot, (0.011, 0.011), _tinted(person.skin, 0.78))


def paint(person: Person, actions: Actions, pixels: int) -> Canvas:
    """Paint the upright head of ``person`` doing ``actions`` on a canvas of ``pixels`` x ``pixels``."""
    canvas, face = Canvas(pixels), place(person, actions)
    _behind(canvas, person)
    canvas.polygon(face.outline, person.skin)
    skin = canvas.mask(face.outline)
    _freckles(canvas, person, skin)
    _beard(canvas, person, face)
    canvas.shade(bulges(person, actions, face), skin)
    for eye, side in zip(face.eyes, "RL", strict=True):
        _eye(canvas, person, eye, actions["AU43" + side])
    _nose(canvas, person, face)
    _mouth(canvas, person, face, actions)
    canvas.carve(furrows(person, actions, face))
    for brow in face.brows:
        canvas.polygon(brow, _tinted(person.hair, 0.8))
    _hair(canvas, person)
    _glasses(canvas, person, face)
    return canvas
