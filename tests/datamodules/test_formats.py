"""One dataset in several answer formats: what is derived, what stays, and what is refused."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.action_units import UNKNOWN, Scale
from datamodules.base import AUDataModule
from datamodules.drawn_faces.actions import action_unit_value, draw_actions
from datamodules.errors import DatasetError
from datamodules.formats import InFormat, in_formats, present_labels
from datamodules.mixture import Mixture
from datamodules.options import DatasetSettings, FolderOptions
from datamodules.synthetic import code_amount
from tests.data.folder.data import write_table
from tests.datamodules.conftest import Small
from tests.datamodules.helpers import LOADING, dataset

BOTH = (Scale.LEVEL, Scale.PRESENCE)


@pytest.fixture
def disfa(settings_of: Small) -> AUDataModule:
    return dataset("synthetic_disfa", settings_of("synthetic_disfa"), formats=BOTH)


def test_a_format_changes_the_labels_and_nothing_else(disfa: AUDataModule) -> None:
    own, present = in_formats(disfa)
    assert own is disfa
    assert (present.name, present.coded_scale()) == ("synthetic_disfa.presence", Scale.PRESENCE)
    assert present.asked_aus == disfa.asked_aus
    for part in ("train", "val", "test"):
        assert list(present.rows(part)) == list(disfa.rows(part))
        for row in disfa.rows(part)[:3]:
            level, derived = disfa.sample(row), present.sample(row)
            assert (derived.sample_id, derived.subject, derived.dataset) == (
                level.sample_id,
                level.subject,
                "synthetic_disfa",
            )
            assert np.array_equal(derived.image, level.image)
            assert derived.scale is Scale.PRESENCE
            assert derived.labels.dtype == np.float32
            assert np.array_equal(derived.labels, (level.labels >= 3).astype(np.float32))


def test_formats_stand_in_the_order_in_which_they_are_named(disfa: AUDataModule) -> None:
    disfa.settings = replace(disfa.settings, formats=BOTH[::-1])
    assert [one.name for one in in_formats(disfa)] == ["synthetic_disfa.presence", "synthetic_disfa"]
    disfa.settings = replace(disfa.settings, formats=(Scale.PRESENCE,))
    assert [one.name for one in in_formats(disfa)] == ["synthetic_disfa.presence"]
    disfa.settings = replace(disfa.settings, formats=None)
    assert in_formats(disfa) == (disfa,)


def test_the_threshold_of_levels_is_the_one_that_fits_what_was_drawn(disfa: AUDataModule) -> None:
    """Of the two levels beside the amount at which a unit is drawn as present, the rule takes the nearer."""
    amounts = np.linspace(0, 1, 101)
    drawn = np.array([code_amount(one, Scale.PRESENCE) for one in amounts])
    levels = np.array([code_amount(one, Scale.LEVEL) for one in amounts])
    wrong = {threshold: np.sum((levels >= threshold) != drawn) for threshold in range(1, 6)}
    assert min(wrong, key=lambda threshold: wrong[threshold]) == disfa.threshold


def test_intensities_are_present_as_they_were_drawn(settings_of: Small) -> None:
    feafa = dataset("synthetic_feafa", settings_of("synthetic_feafa"))
    present, column = present_labels(feafa), feafa.asked_aus.index("AU12L")
    for row in feafa.rows("val"):
        person, number = str(feafa.index.sample_ids[row]).removeprefix("S").split("/")
        actions = draw_actions(np.random.default_rng([0, int(person) - 1, int(number)]))
        amount = action_unit_value(actions, "AU12L")
        if abs(amount - 0.5) > 0.01:  # FEAFA's two decimals may round it over the edge
            assert present[row, column] == code_amount(amount, Scale.PRESENCE)


def test_mirrored_faces_have_derived_labels_too(disfa: AUDataModule) -> None:
    present = InFormat(disfa, Scale.PRESENCE)
    for row in present.rows("train")[:4]:
        assert set(present.training_sample(row, seed=row).labels.tolist()) <= {0, 1, UNKNOWN}


def test_fingerprints_tell_formats_and_thresholds_apart(
    disfa: AUDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    prints = {one.fingerprint() for one in in_formats(disfa)}
    assert len(prints) == 2
    monkeypatch.setattr(type(disfa), "threshold", 2.0)
    assert InFormat(disfa, Scale.PRESENCE).fingerprint() not in prints


def test_a_format_reaches_other_processes_without_its_index(disfa: AUDataModule) -> None:
    present = InFormat(disfa, Scale.PRESENCE)
    wanted = present.index.labels
    copied = copy(present)  # goes through the same state as what a loader process gets
    assert copied._index is None
    assert np.array_equal(copied.index.labels, wanted)


def test_a_sample_needs_no_derived_index(disfa: AUDataModule) -> None:
    """Each loader process would make its own, and of two million rows that is no small table."""
    present = InFormat(disfa, Scale.PRESENCE)
    samples = [present.sample(row) for row in present.rows("train")]
    assert present._index is None
    assert all(
        np.array_equal(sample.labels, present.index.labels[row])
        for row, sample in zip(present.rows("train"), samples, strict=True)
    )


# ---- plain folders: unknown labels, and what cannot be derived


def _folder(root: Path, scale: str, **more: Any) -> AUDataModule:
    for number in range(9):
        (root / f"{number}.png").touch()  # never looked at
    write_table(root, [(f"{number}.png", f"P{number}", "0", "", "-1", "1", "") for number in range(9)])
    return dataset("folder", DatasetSettings(root=root, options=FolderOptions(scale=scale, **more)))


def test_unknown_labels_stay_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _folder(tmp_path, "level")
    monkeypatch.setattr(type(folder), "present_from", lambda self, code: 2.0 if code == "AD34" else 1.0)
    assert present_labels(folder)[0].tolist() == [0, UNKNOWN, UNKNOWN, 0]


def test_the_option_of_a_folder_is_its_threshold(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "level", present_from=1.0)
    assert present_labels(folder)[0].tolist() == [0, UNKNOWN, UNKNOWN, 1]


@pytest.mark.parametrize(
    ("scale", "formats", "said"),
    [
        ("presence", (Scale.LEVEL,), "dataset 'folder' cannot be asked for level, its labels are presence"),
        ("level", (Scale.LEVEL, Scale.INTENSITY), "cannot be asked for intensity, its labels are level"),
        ("level", (Scale.PRESENCE, Scale.PRESENCE), r"data\.datasets\.folder\.formats names presence twice"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    tmp_path: Path, scale: str, formats: tuple[Scale, ...], said: str
) -> None:
    folder = _folder(tmp_path, scale)
    folder.settings = replace(folder.settings, formats=formats)
    with pytest.raises(DatasetError, match=said):
        Mixture([folder], LOADING)


def test_a_dataset_without_a_threshold_says_so(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "level")
    with pytest.raises(DatasetError, match="does not say from which level AU1 counts as present: do without"):
        present_labels(folder)
