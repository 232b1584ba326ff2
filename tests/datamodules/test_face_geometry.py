"""Crops lie where they should, to the pixel, and do not alias."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from datamodules.face_geometry import TEMPLATE, box_transform, cut, five_point_transform

GENERATOR = np.random.default_rng(5)
NOISE = GENERATOR.integers(0, 256, (60, 80, 3), dtype=np.uint8)


def test_a_box_of_its_own_size_is_copied() -> None:
    crop = cut(NOISE, box_transform((10, 20, 32, 32), 32, 0.0), 32)
    assert np.array_equal(crop, NOISE[20:52, 10:42])


def test_a_margin_is_a_share_of_the_longer_side_on_every_side() -> None:
    crop = cut(NOISE, box_transform((20, 22, 10, 16), 32, 0.5), 32)  # 16 + 2 * 8 = 32 pixels around (25, 30)
    assert np.array_equal(crop, NOISE[14:46, 9:41])


def test_shrinking_averages() -> None:
    crop = cut(NOISE, box_transform((0, 0, 60, 60), 20, 0.0), 20)
    means = NOISE[:, :60].reshape(20, 3, 20, 3, 3).mean((1, 3))
    assert np.abs(crop - means)[1:-1, 1:-1].max() < 1.01


def test_beyond_the_picture_is_black() -> None:
    crop = cut(NOISE, box_transform((-16, -16, 32, 32), 32, 0.0), 32)
    assert np.array_equal(crop[16:, 16:], NOISE[:16, :16])
    assert crop[:16].max() == crop[:, :16].max() == 0
    assert cut(NOISE, box_transform((500, 500, 32, 32), 32, 0.0), 32).max() == 0


@pytest.mark.parametrize("angle", [0.0, 0.5, -2.0, 3.1])
@pytest.mark.parametrize("scale", [0.4, 1.0, 7.5])
def test_five_points_come_to_lie_on_the_template(angle: float, scale: float) -> None:
    size, margin = 100, 0.25
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (TEMPLATE @ turn.T * 40 + (300, 200)).astype(np.float32)
    matrix = five_point_transform(points, size, margin)
    wanted = (TEMPLATE + margin) / (1 + 2 * margin) * size - 0.5  # pixel centres
    assert np.allclose(points @ matrix[:, :2].T + matrix[:, 2], wanted, atol=2e-3)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    """Left and right of the face are labels: an alignment that flips would exchange them."""
    points = (TEMPLATE * (-100, 100) + (200, 50)).astype(np.float32)
    assert np.linalg.det(five_point_transform(points, 64, 0.0)[:, :2]) > 0


def test_points_in_one_place_give_a_finite_crop() -> None:
    matrix = five_point_transform(np.full((5, 2), 30, np.float32), 32, 0.0)
    assert np.isfinite(matrix).all()
    assert cut(NOISE, matrix, 32).shape == (32, 32, 3)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_what_lies_on_a_landmark_is_seen_on_the_template(scale: float) -> None:
    angle, size = 0.4, 128
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (TEMPLATE - 0.5) @ turn.T * 110 + (350, 300)
    dots: npt.NDArray[np.uint8] = np.zeros((600, 700, 3), np.uint8)
    radius = max(1, round(3 * scale))
    for x, y in points.round().astype(int):
        dots[y - radius : y + radius + 1, x - radius : x + radius + 1] = 255
    crop = cut(dots, five_point_transform(points.astype(np.float32), size, 0.0), size)
    for x, y in (TEMPLATE * size).round().astype(int):
        around = crop[y - 5 : y + 6, x - 5 : x + 6, 0].astype(float)
        weight = around.sum()
        assert weight > 0
        places = np.arange(-5, 6)
        assert abs((around.sum(0) * places).sum() / weight + 0.5) < 1.6
        assert abs((around.sum(1) * places).sum() / weight + 0.5) < 1.6
