"""The drawn datasets: one population, three codings, and labels as rich as the issue asks for."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS, UNKNOWN, Scale
from datamodules.base import AUDataModule
from datamodules.drawn_faces.actions import ACTIONS, PAIRED, Actions, action_unit_value, draw_actions
from datamodules.errors import DatasetError
from datamodules.options import DatasetSettings, SyntheticOptions
from datamodules.synthetic import (
    Synthetic,
    SyntheticBP4D,
    SyntheticDISFA,
    SyntheticFEAFA,
    code_amount,
)
from tests.datamodules.conftest import Small
from tests.datamodules.helpers import LOADING, SMALL, dataset
from tests.source_tree import REPOSITORY

KINDS = (SyntheticBP4D, SyntheticDISFA, SyntheticFEAFA)
CODES = tuple(dict.fromkeys((*BP4D_AUS, *DISFA_AUS, *FEAFA_AUS)))


@pytest.fixture(scope="module")
def population() -> tuple[list[tuple[int, int]], npt.NDArray[np.float64]]:
    """The faces of the default population and their amounts [N, len(CODES)]: nothing is drawn for them."""
    faces = SyntheticBP4D(DatasetSettings(), LOADING).faces()
    drawn = [draw_actions(np.random.default_rng([0, person, number])) for person, number in faces]
    return faces, np.array([[action_unit_value(actions, code) for code in CODES] for actions in drawn])


def _synthetic(
    kind: type[Synthetic], options: SyntheticOptions = SMALL, root: Path | None = None
) -> Synthetic:
    return kind(DatasetSettings(root=root, options=options), LOADING)


def test_the_three_datasets_show_the_same_faces(settings_of: Small) -> None:
    found: list[AUDataModule] = [dataset(kind.name, settings_of(kind.name)) for kind in KINDS]
    first = found[0]
    for other in found[1:]:
        assert other.pictures() == first.pictures()
        assert np.array_equal(other.index.sample_ids, first.index.sample_ids)
        assert np.array_equal(other.index.subjects, first.index.subjects)
        assert other.split == first.split
        for row in (0, 5, len(first.index) - 1):
            assert np.array_equal(other.sample(row).image, first.sample(row).image)
    assert len({one.subject for one in (module.sample(0) for module in found)}) == 3


def test_they_are_coded_as_their_models_are() -> None:
    assert [(kind.aus, kind.scale) for kind in KINDS] == [
        (BP4D_AUS, Scale.PRESENCE),
        (DISFA_AUS, Scale.LEVEL),
        (FEAFA_AUS, Scale.INTENSITY),
    ]


def test_labels_follow_from_the_actions_of_the_face() -> None:
    for kind in KINDS:
        module = _synthetic(kind)
        ids = [f"S{person + 1:03d}/{number:04d}" for person, number in module.faces()]
        for face, sample_id in zip(module.faces(), ids, strict=True):
            row = int(np.flatnonzero(module.index.sample_ids == sample_id)[0])
            actions = draw_actions(np.random.default_rng([0, *face]))
            amounts = [action_unit_value(actions, code) for code in kind.aus]
            wanted = np.array([code_amount(amount, kind.scale) for amount in amounts], np.float32)
            assert np.array_equal(module.index.labels[row], wanted)
        assert not (module.index.labels == UNKNOWN).any()


@pytest.mark.parametrize(
    ("scale", "coded"),
    [
        (Scale.PRESENCE, {0.0: 0, 0.02: 0, 0.4999: 0, 0.5: 1, 1.0: 1}),
        (
            Scale.LEVEL,
            {0.0: 0, 0.001: 1, 0.2: 1, 0.2001: 2, 0.4: 2, 0.6: 3, 0.61: 4, 0.8: 4, 0.81: 5, 1.0: 5},
        ),
        (Scale.INTENSITY, {0.0: 0.0, 0.004: 0.0, 0.02: 0.02, 0.349: 0.35, 0.994: 0.99, 0.996: 1.0, 1.0: 1.0}),
    ],
)
def test_an_amount_is_coded_on_each_scale(scale: Scale, coded: dict[float, float]) -> None:
    assert {amount: code_amount(amount, scale) for amount in coded} == coded
    for amount in np.linspace(0, 1, 501):
        assert scale.allows(code_amount(float(amount), scale))


def test_a_code_for_both_sides_takes_the_stronger_one() -> None:
    actions = Actions({"AU12L": 0.3, "AU12R": 0.8, "AU1L": 0.2, "AU2L": 0.6, "AU1R": 0.4, "AD34": 0.9})
    read = {code: action_unit_value(actions, code) for code in ("AU12", "AU12L", "AU12R", "AU1", "AU2")}
    assert read == {"AU12": 0.8, "AU12L": 0.3, "AU12R": 0.8, "AU1": 0.4, "AU2": 0.6}
    assert [action_unit_value(actions, code) for code in ("AU1+2L", "AU1+2R")] == [0.6, 0.4]
    assert [action_unit_value(actions, code) for code in ("AD34", "AU9")] == [0.9, 0.0]
    assert actions.both("AU12") == pytest.approx(0.55)
    assert actions.mirrored()["AU12L"] == 0.8
    assert actions.mirrored().mirrored() == actions


def test_there_are_people_enough() -> None:
    module = _synthetic(SyntheticBP4D, SyntheticOptions())
    assert len(module.split.test) >= 24
    assert len(module.split.train) >= 60
    assert len(module.split.val) >= 10
    assert len(module.rows("test")) >= 600


@pytest.mark.parametrize("code", CODES)
def test_every_unit_moves_often_and_on_both_sides_of_the_line(
    population: tuple[list[tuple[int, int]], npt.NDArray[np.float64]], code: str
) -> None:
    faces, amounts = population
    tested = np.array([person for person, _ in faces]) >= SyntheticOptions().train_people
    for part in (tested, ~tested):
        values = amounts[part, CODES.index(code)]
        assert ((values >= 0) & (values <= 1)).all()
        assert (values > 0).mean() >= 0.15
        assert 0.10 <= (values >= 0.5).mean() <= 0.50
        assert ((values > 0) & (values < 0.5)).mean() >= 0.05
        assert np.unique(values).size > 50  # continuous, no few steps


def test_several_muscles_move_at_once_and_the_sides_apart(
    population: tuple[list[tuple[int, int]], npt.NDArray[np.float64]],
) -> None:
    _, amounts = population
    assert 3 < (amounts[:, : len(BP4D_AUS)] > 0).sum(1).mean() < 6
    for code in ("AU12", "AU4", "AU43", "AU20"):
        left, right = (amounts[:, CODES.index(code + side)] for side in "LR")
        moved = (left > 0) | (right > 0)
        assert (np.abs(left - right)[moved] > 0.3).mean() > 0.1
        assert 0.4 < (left > right)[moved].mean() < 0.6


def test_antagonists_never_move_together() -> None:
    for number in range(400):
        actions = draw_actions(np.random.default_rng([9, number]))
        assert set(actions.amounts) <= set(ACTIONS)
        assert min(actions.amounts.values(), default=1) > 0
        for code in PAIRED:
            assert 0 <= actions.both(code) <= 1
        for one, other in (("AU12", "AU15"), ("AU5", "AU43"), ("AD30L", "AD30R"), ("AU28T", "AU28B")):
            assert not (actions.both(one) and actions.both(other))


def test_the_population_decides_the_labels_and_the_size_does_not() -> None:
    plain = _synthetic(SyntheticFEAFA).index.fingerprint()
    larger = SyntheticOptions(**{**vars(SMALL), "size": 64})
    other = SyntheticOptions(**{**vars(SMALL), "population": 5})
    assert _synthetic(SyntheticFEAFA, larger).index.fingerprint() == plain
    assert _synthetic(SyntheticFEAFA, other).index.fingerprint() != plain


def test_more_people_leave_the_others_as_they_are() -> None:
    more = SyntheticOptions(**{**vars(SMALL), "train_people": 9})
    few, many = (_synthetic(SyntheticFEAFA, options).index for options in (SMALL, more))
    shared = [str(one) for one in few.sample_ids if str(one) < "S009"]
    assert shared
    for sample_id in shared:
        rows = [few.sample_ids == sample_id, many.sample_ids == sample_id]
        assert np.array_equal(few.labels[rows[0]], many.labels[rows[1]])


def test_the_last_people_are_tested_even_beyond_a_thousand() -> None:
    options = SyntheticOptions(train_people=1005, test_people=2, faces_per_person=1, test_faces_per_person=1)
    assert _synthetic(SyntheticBP4D, options).split.test == ("S1006", "S1007")


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_draws_the_same_faces_and_labels(hash_seed: str) -> None:
    """Sets of strings have another order in every process: none of it may reach a face."""
    code = (
        "import hashlib, numpy\n"
        "from datamodules.drawn_faces.scene import draw_face\n"
        "image, actions = draw_face(4, 2, 6, 48)\n"
        "print(hashlib.sha256(image.tobytes()).hexdigest(), sorted(actions.amounts.items()))\n"
    )
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(REPOSITORY), "PATH": ""}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    from datamodules.drawn_faces.scene import draw_face

    image, actions = draw_face(4, 2, 6, 48)
    here = f"{hashlib.sha256(image.tobytes()).hexdigest()} {sorted(actions.amounts.items())}"
    assert ran.stdout.strip() == here


@pytest.mark.parametrize(
    "wrong",
    [{"train_people": 4}, {"test_people": 0}, {"faces_per_person": 0}, {"size": 31}, {"size": 1025}],
)
def test_a_population_that_cannot_be_drawn_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r": give .*(larger numbers|a value between)"):
        SyntheticOptions(**wrong)


def test_faces_that_cannot_be_kept_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    module = _synthetic(SyntheticBP4D, root=tmp_path / "file")
    said = r"cannot keep its drawn faces in .*/file \(.+\): set data\.datasets\.synthetic_bp4d\.root to"
    with pytest.raises(DatasetError, match=said):
        module.prepare_data()
