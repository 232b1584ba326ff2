"""Labels of exactly the published numbers go through the readers of BP4D and DISFA."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from datamodules.base import AUDataModule
from datamodules.dataset_options.core import BP4DOptions, DISFAOptions
from datamodules.expected_counts import Count, Expected, class_weights, expected_counts
from datamodules.options import DatasetSettings
from tests.data.bp4d.data import write_labels as write_bp4d
from tests.data.disfa.data import write_labels as write_disfa
from tests.datamodules.helpers import dataset

Root = tuple[DatasetSettings, Expected]


@pytest.fixture(scope="module")
def bp4d(tmp_path_factory: pytest.TempPathFactory) -> Root:
    counts = expected_counts("bp4d")
    assert counts is not None
    return write_bp4d(tmp_path_factory.mktemp("bp4d"), counts), counts


@pytest.fixture(scope="module")
def disfa(tmp_path_factory: pytest.TempPathFactory) -> Root:
    counts = expected_counts("disfa")
    assert counts is not None
    return write_disfa(tmp_path_factory.mktemp("disfa"), counts), counts


def _presence(module: AUDataModule, counts: Expected) -> npt.NDArray[np.bool_]:
    """[N, A]: which of the AUs of the table are present."""
    columns = [module.asked_aus.index(code) for code in counts.aus]
    values = module.index.labels[:, columns]
    threshold = counts.threshold if module.coded_scale() == "level" else 1
    assert threshold is not None
    return np.asarray(values >= threshold)


def _count(module: AUDataModule, counts: Expected, people: tuple[str, ...]) -> Count:
    rows = module.index.rows_of(people)
    return Count(len(rows), tuple(int(one) for one in _presence(module, counts)[rows].sum(axis=0)))


def _check(module: AUDataModule, counts: Expected) -> None:
    everybody = tuple(counts.subjects)
    assert module.index.people() == sorted(everybody)
    assert counts.total == _count(module, counts, everybody)
    for person, count in counts.subjects.items():
        assert _count(module, counts, (person,)) == count, person
    for part, count in counts.parts.items():
        assert _count(module, counts, counts.part_subjects[part]) == count, part


def _check_weights(module: AUDataModule, counts: Expected) -> None:
    """The weights of each canonical fold, whose training people are all who are not tested."""
    assert len(counts.weights) == 3
    folds = module.protocol("canonical_folds", module.index.people()).folds
    for tested, published in zip(folds, counts.weights.values(), strict=True):
        trained = tuple(person for person in counts.subjects if person not in tested)
        count = _count(module, counts, trained)
        ours = class_weights(count.frames, count.positives)
        assert np.abs(np.array(ours) - published.values).max() < 1e-6


def test_bp4d_has_146847_rows_and_every_published_count(bp4d: Root) -> None:
    settings, counts = bp4d
    module = dataset("bp4d", settings)
    assert len(module.index) == 146_847
    _check(module, counts)
    _check_weights(module, counts)


def test_every_sequence_of_bp4d_has_its_coded_frames_without_a_hole(bp4d: Root) -> None:
    settings, counts = bp4d
    index = dataset("bp4d", settings).index
    frames: dict[str, list[int]] = {}
    for one in index.sample_ids:
        name, _, frame = str(one).rpartition("/")
        frames.setdefault(name, []).append(int(frame))
    found = {name: (min(some), max(some), len(some)) for name, some in frames.items()}
    assert found == dict(counts.sequences)
    assert all(last - first + 1 == count for first, last, count in found.values())


def test_bp4d_has_146576_rows_with_landmarks_as_jaanet(bp4d: Root) -> None:
    settings, counts = bp4d
    options = BP4DOptions(pictures="none", drop_no_landmarks=True)
    module = dataset("bp4d", replace(settings, options=options))
    assert len(module.index) == 146_576
    parts = [_count(module, counts, people).frames for people in counts.part_subjects.values()]
    assert parts == [50_601, 50_166, 45_809]
    assert module.expected() is None


def test_disfa_has_130814_rows_and_every_published_count(disfa: Root) -> None:
    settings, counts = disfa
    module = dataset("disfa", settings)
    assert len(module.index) == 130_814
    assert len(module.index.rows_of(["SN010"])) == 4_844
    _check(module, counts)
    _check_weights(module, counts)


def test_disfa_as_detection_has_the_same_counts(disfa: Root) -> None:
    settings, counts = disfa
    module = dataset("disfa", replace(settings, options=DISFAOptions(pictures=False, coding="detection")))
    assert module.asked_aus == counts.aus
    _check(module, counts)


def test_disfa_has_126144_rows_without_the_bad_landmarks_as_jaanet(disfa: Root) -> None:
    settings, counts = disfa
    options = DISFAOptions(pictures=False, drop_bad_landmarks=True)
    module = dataset("disfa", replace(settings, options=options))
    assert len(module.index) == 126_144
    parts = [_count(module, counts, people).frames for people in counts.part_subjects.values()]
    assert parts == [43_173, 40_344, 42_627]
