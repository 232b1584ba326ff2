"""The overlaps that the field has: DISFA in DISFA+ and in FEAFA+ part B, BP4D in copies of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.base import AUDataModule
from datamodules.dataset_options.core import FEAFAOptions
from datamodules.errors import SubjectLeakError
from datamodules.mixture import Mixture
from datamodules.options import DatasetSettings, FolderOptions, MixtureSettings
from tests.data.feafa.data import write_sequence
from tests.data.folder.data import write_table
from tests.datamodules.conftest import Small
from tests.datamodules.helpers import LOADING, dataset

Made = Callable[[str], AUDataModule]


@pytest.fixture(scope="module")
def part_b(tmp_path_factory: pytest.TempPathFactory) -> DatasetSettings:
    """FEAFA+ part B on people of DISFA, pictures beside the labels."""
    root = tmp_path_factory.mktemp("feafa")
    for number in (1, 2, 3, 4, 5, 6, 9, 11, 12):
        write_sequence(root / f"{number}.output", f"PV{number:03d}", (0, 1))
    return DatasetSettings(root=root, options=FEAFAOptions(part="b"))


@pytest.fixture
def made(settings_of: Small, part_b: DatasetSettings) -> Made:
    """A dataset on its fake; nothing but its labels is read."""
    return lambda name: dataset(name, part_b if name == "feafa" else settings_of(name))


def _people(module: AUDataModule, *parts: str) -> set[str]:
    """Who stands in some parts of a dataset, by identity."""
    return {module.identity(subject) for part in parts for subject in module.split.part(part)}


@pytest.mark.parametrize("other", ["disfa_plus", "feafa"])
def test_people_of_disfa_are_known_under_every_name(made: Made, other: str) -> None:
    shared = _people(made("disfa"), "train", "val", "test") & _people(made(other), "train", "val", "test")
    assert shared
    assert all(one.startswith("disfa:SN") for one in shared)


@pytest.mark.parametrize("other", ["disfa_plus", "feafa"])
def test_training_on_a_person_that_disfa_tests_is_refused(made: Made, other: str) -> None:
    with pytest.raises(SubjectLeakError, match=rf"person 'disfa:SN\d+' .* 'disfa' .* '{other}'") as refused:
        Mixture([made("disfa"), made(other)], LOADING).setup("fit")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("other", ["disfa_plus", "feafa"])
def test_left_out_nobody_is_trained_on_and_tested(made: Made, other: str) -> None:
    members = [made("disfa"), made(other)]
    tested = [_people(member, "test") for member in members]
    Mixture(members, LOADING, MixtureSettings(shared_people="leave_out")).setup("fit")
    assert [_people(member, "test") for member in members] == tested
    trained = _people(members[0], "train") | _people(members[1], "train")
    assert trained.isdisjoint(tested[0] | tested[1])
    assert trained.isdisjoint(_people(members[0], "val") | _people(members[1], "val"))


@pytest.mark.parametrize(("first", "second"), [("bp4d", "bp4d_plus"), ("bp4d", "disfa"), ("casme2", "samm")])
def test_equal_numbers_in_other_datasets_are_other_people(made: Made, first: str, second: str) -> None:
    Mixture([made(first), made(second)], LOADING).setup("fit")


def _copy_of_bp4d(root: Path, people: list[str], same: str) -> AUDataModule:
    rows = []
    for person in people:
        rows.append((f"{person}.png", person, "1", "0", "0", "1", ""))
        root.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / f"{person}.png")
    write_table(root, rows)
    return dataset("folder", DatasetSettings(root=root, options=FolderOptions(same_people_as=same)))


def test_a_copy_of_bp4d_is_no_new_dataset(made: Made, tmp_path: Path) -> None:
    """FERA 2015 is BP4D in other files: whoever has it as a folder says whose people they are."""
    bp4d = made("bp4d")
    people = [*bp4d.split.test, *bp4d.split.train, *bp4d.split.val]
    with pytest.raises(SubjectLeakError, match=r"person 'bp4d:[FM]\d+' .* 'bp4d' .* 'folder'"):
        Mixture([bp4d, _copy_of_bp4d(tmp_path / "fera", people, "bp4d")], LOADING).setup("fit")
    Mixture([bp4d, _copy_of_bp4d(tmp_path / "other", people, "")], LOADING).setup("fit")
