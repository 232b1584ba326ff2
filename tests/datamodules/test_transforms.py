"""A mirrored face: pixels, left and right, and what becomes unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datamodules.action_units import FEAFA_AUS, UNKNOWN, Scale, action_unit, codes
from datamodules.sample import AUSample
from datamodules.transforms import TrainTransform, mirrored_labels


def _sample(aus: tuple[str, ...], labels: list[float]) -> AUSample:
    image = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return AUSample("P/1", "d", "d:P", image, aus, np.array(labels, np.float32), Scale.INTENSITY)


FACE = _sample(("AU12L", "AU1", "AU12R", "AD30R", "AD30L"), [0.1, 0.2, 0.3, 0.4, UNKNOWN])


def test_left_and_right_change_places() -> None:
    mirrored = TrainTransform(1.0)(FACE, seed=0)
    assert np.array_equal(mirrored.image, FACE.image[:, ::-1])
    assert mirrored.image.flags["C_CONTIGUOUS"]
    assert mirrored.labels.dtype == np.float32
    assert mirrored.labels.tolist() == np.array([0.3, 0.2, 0.1, UNKNOWN, 0.4], np.float32).tolist()
    assert mirrored.aus == FACE.aus


def test_the_original_is_left_alone() -> None:
    image, labels = FACE.image.copy(), FACE.labels.copy()
    TrainTransform(1.0)(FACE, seed=0)
    assert np.array_equal(FACE.image, image)
    assert np.array_equal(FACE.labels, labels)


def test_a_mirror_in_the_mirror_shows_the_face() -> None:
    mirror = TrainTransform(1.0)
    twice = mirror(mirror(FACE, seed=0), seed=1)
    assert np.array_equal(twice.image, FACE.image)
    assert np.array_equal(twice.labels, FACE.labels)


def test_every_code_of_the_vocabulary_comes_back() -> None:
    labels = np.arange(len(codes()), dtype=np.float32)
    mirrored = mirrored_labels(codes(), labels)
    assert np.array_equal(mirrored_labels(codes(), mirrored), labels)
    for code, number in zip(codes(), mirrored, strict=True):
        assert codes()[int(number)] == action_unit(code).mirror


def test_feafa_swaps_its_sided_codes_only() -> None:
    mirrored = mirrored_labels(FEAFA_AUS, np.arange(24, dtype=np.float32))
    moved = {code for code, number in zip(FEAFA_AUS, mirrored, strict=True) if FEAFA_AUS[int(number)] != code}
    assert moved == {code for code in FEAFA_AUS if code.endswith(("L", "R"))}


def test_a_side_whose_other_side_is_not_asked_becomes_unknown() -> None:
    one_sided = _sample(("AU12L", "AU1"), [0.9, 0.2])
    assert (
        TrainTransform(1.0)(one_sided, seed=0).labels.tolist()
        == np.array([UNKNOWN, 0.2], np.float32).tolist()
    )


def test_a_face_of_which_nothing_would_be_known_is_not_mirrored() -> None:
    """Else a run on AU12L alone would stop at the first mirrored face, which asks nothing."""
    for only in (_sample(("AU12L",), [0.9]), _sample(("AU12L", "AU12R", "AU2L"), [UNKNOWN, UNKNOWN, 0.4])):
        kept = TrainTransform(1.0)(only, seed=0)
        assert kept is only


@pytest.mark.parametrize(
    ("flip", "low", "high"), [(0.0, 0, 0), (0.3, 40, 80), (0.5, 75, 125), (1.0, 200, 200)]
)
def test_the_probability_is_kept(flip: float, low: int, high: int) -> None:
    transform = TrainTransform(flip)
    mirrored = sum(not np.array_equal(transform(FACE, seed).image, FACE.image) for seed in range(200))
    assert low <= mirrored <= high


def test_the_seed_alone_decides() -> None:
    first, second = TrainTransform(0.5), TrainTransform(0.5)
    seeds = [*range(20), 2**32 - 1]
    forwards = [first(FACE, seed).labels.tolist() for seed in seeds]
    np.random.seed(5)  # noqa: NPY002 - the state that must not matter
    backwards = [second(FACE, seed).labels.tolist() for seed in reversed(seeds)]
    assert forwards == backwards[::-1]
    assert len({tuple(labels) for labels in forwards}) == 2


def test_the_picture_keeps_any_size() -> None:
    wide = replace(FACE, image=np.zeros((3, 50, 3), np.uint8))
    assert TrainTransform(1.0)(wide, seed=0).image.shape == (3, 50, 3)
