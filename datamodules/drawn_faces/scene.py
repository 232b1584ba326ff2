"""How the head is seen: pose in the picture, light, background, blur and noise; and the whole picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from datamodules.drawn_faces.actions import Actions, draw_actions
from datamodules.drawn_faces.canvas import EXTENT, Canvas
from datamodules.drawn_faces.paint import paint
from datamodules.drawn_faces.person import Person, draw_person

# Face units from the centre of the crop to its edge at scale 1: the margin a face detector leaves.
_VIEW = 1.20


@dataclass(frozen=True, slots=True)
class Scene:
    """The circumstances of one picture. Angles in degrees, shifts in face units, colours 0-255."""

    roll: float
    turn: float
    shift: tuple[float, float]
    zoom: float
    light: tuple[float, float, float]  # gradient across, gradient down, gain
    warmth: float
    background: np.ndarray  # float32 [4, 4, 3]
    blur: float  # standard deviation, share of the picture's width
    noise: float  # standard deviation, grey levels
    noise_seed: int


def draw_scene(rng: np.random.Generator) -> Scene:
    """Draw the circumstances of one picture."""
    base = rng.uniform(40, 215) + rng.normal(0, 22, 3)
    return Scene(
        roll=float(np.clip(rng.normal(0, 4.5), -13, 13)),
        turn=float(np.clip(rng.normal(0, 0.025), -0.06, 0.06)),
        shift=(float(rng.normal(0, 0.036)), float(rng.normal(-0.05, 0.036))),
        zoom=float(rng.uniform(0.93, 1.07)),
        light=(float(rng.normal(0, 0.11)), float(rng.normal(0, 0.07)), float(rng.uniform(0.82, 1.05))),
        warmth=float(rng.normal(0, 0.05)),
        background=(base + rng.normal(0, 28, (4, 4, 3))).astype(np.float32),
        blur=float(rng.uniform(0.0, 0.006)),
        noise=float(rng.uniform(0.5, 4.5)),
        noise_seed=int(rng.integers(2**31)),
    )


def _warp(canvas: Canvas, scene: Scene, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Bring the upright canvas into the picture: turn (a shear), roll, zoom and shift in one resampling."""
    angle = np.deg2rad(scene.roll)
    rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    squeeze = np.array([[1.0 - abs(scene.turn), scene.turn], [0.0, 1.0]])
    to_picture = scene.zoom * size / (2 * _VIEW) * rotate @ squeeze
    from_canvas = to_picture / canvas.scale
    offset = size / 2 - 0.5 + to_picture @ (np.array(scene.shift) - EXTENT + 0.5 / canvas.scale)
    matrix = np.hstack([from_canvas, offset[:, None]])
    layers: np.ndarray = np.dstack([canvas.image, canvas.coverage])
    layers = cv2.GaussianBlur(layers, (0, 0), 0.30 * canvas.scale / (scene.zoom * size / (2 * _VIEW)))
    layers = cv2.warpAffine(layers, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return layers[:, :, :3], layers[:, :, 3]


def _develop(image: np.ndarray, scene: Scene) -> np.ndarray:
    """Light, colour cast, blur and sensor noise; float32 in, uint8 out."""
    size = image.shape[0]
    ramp = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    across, down, gain = scene.light
    light = gain * (1.0 + across * ramp[None, :] + down * ramp[:, None])
    cast = np.array([1.0 + scene.warmth, 1.0, 1.0 - scene.warmth], np.float32)
    lit: np.ndarray = image * light[:, :, None] * cast
    if scene.blur * size > 0.15:
        lit = cv2.GaussianBlur(lit, (0, 0), scene.blur * size)
    grain = np.random.default_rng(scene.noise_seed).standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.clip(lit + scene.noise * grain, 0, 255).astype(np.uint8))


def render(person: Person, actions: Actions, scene: Scene, size: int) -> np.ndarray:
    """Draw one picture.

    Args:
        person: Who is seen.
        actions: What the muscles do, amounts in [0, 1].
        scene: How the head is seen.
        size: Side of the square picture in pixels.

    Returns:
        RGB uint8 array [size, size, 3].
    """
    canvas = paint(person, actions, round(2 * size * EXTENT / _VIEW / 2) * 2)
    image, coverage = _warp(canvas, scene, size)
    backdrop = cv2.resize(scene.background, (size, size), interpolation=cv2.INTER_CUBIC)
    uncovered = 1.0 - coverage.astype(np.float32)[:, :, None] / 255.0
    return _develop(image + backdrop * uncovered, scene)  # the canvas was painted on black: already weighted


def draw_face(seed: int, person: int, number: int, size: int) -> tuple[np.ndarray, Actions]:
    """Face ``number`` of person ``person`` of the population ``seed``: the picture and its actions.

    The same four numbers give the same picture, byte for byte, on one machine; the actions do not depend on
    ``size``.
    """
    rng = np.random.default_rng([seed, person, number])
    actions = draw_actions(rng)
    scene = draw_scene(rng)
    return render(draw_person(seed, person), actions, scene, size), actions
