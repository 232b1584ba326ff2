"""The published counts add up, and the rule of the class weights gives the published weights."""

from __future__ import annotations

from importlib import resources

import pytest

from datamodules import registry
from datamodules.canonical import BP4D_FOLDS, DISFA_FOLDS
from datamodules.check_counts import WEIGHT_TOLERANCE
from datamodules.expected_counts import Expected, class_weights, expected_counts

WITH_FOLDS = {"bp4d": (146_847, 41, BP4D_FOLDS), "disfa": (130_814, 27, DISFA_FOLDS)}


def _expected(name: str) -> Expected:
    found = expected_counts(name)
    assert found is not None
    return found


def test_every_file_is_of_a_registered_dataset() -> None:
    folder = resources.files("datamodules").joinpath("expected")
    names = {file.name.removesuffix(".json") for file in folder.iterdir()}
    assert names <= set(registry.BUILT_IN)
    assert {"bp4d", "disfa", "feafa", "unbc"} <= names
    assert all(_expected(name).source for name in names)
    assert expected_counts("folder") is None


@pytest.mark.parametrize("name", WITH_FOLDS)
def test_people_parts_and_total_add_up(name: str) -> None:
    found, (frames, people, _) = _expected(name), WITH_FOLDS[name]
    assert found.total is not None
    assert (found.total.frames, found.people, len(found.subjects)) == (frames, people, people)
    for counts in (found.subjects, found.parts):
        assert sum(count.frames for count in counts.values()) == frames
        columns = zip(*(count.positives for count in counts.values()), strict=True)
        assert tuple(sum(column) for column in columns) == found.total.positives
    for part, members in found.part_subjects.items():
        assert sum(found.subjects[one].frames for one in members) == found.parts[part].frames


@pytest.mark.parametrize("name", WITH_FOLDS)
def test_the_parts_are_the_canonical_folds(name: str) -> None:
    parts = list(_expected(name).part_subjects.values())
    assert [tuple(sorted(fold)) for fold in WITH_FOLDS[name][2].folds] == [
        tuple(part) for part in parts[::-1]
    ]


@pytest.mark.parametrize("name", WITH_FOLDS)
def test_the_published_class_weights_come_out(name: str) -> None:
    found = _expected(name)
    assert len(found.weights) == 3
    for weights in found.weights.values():
        chosen = [found.parts[part] for part in weights.parts]
        positives = [sum(column) for column in zip(*(count.positives for count in chosen), strict=True)]
        here = class_weights(sum(count.frames for count in chosen), positives)
        assert max(abs(a - b) for a, b in zip(here, weights.values, strict=True)) <= WEIGHT_TOLERANCE
        assert sum(here) == pytest.approx(len(found.aus))


def test_the_sequences_of_bp4d_are_whole_and_add_up() -> None:
    found = _expected("bp4d")
    assert len(found.sequences) == 328
    assert all(last - first + 1 == count for first, last, count in found.sequences.values())
    for person, count in found.subjects.items():
        mine = [three[2] for name, three in found.sequences.items() if name.startswith(f"{person}/")]
        assert (len(mine), sum(mine)) == (8, count.frames)
