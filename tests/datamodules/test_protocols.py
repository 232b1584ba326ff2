"""People are split once, by their names, and nobody is in two parts."""

from __future__ import annotations

import pytest

from datamodules.errors import DatasetError, EmptyDatasetError, SubjectLeakError
from datamodules.protocols import Protocol, Split, carve_validation, check_disjoint, people_folds

PEOPLE = tuple(f"S{number:03d}" for number in range(40))
THREE = people_folds("three", 1, PEOPLE, 3)


def test_folds_deal_out_everybody_once_and_evenly() -> None:
    assert sorted(person for fold in THREE.folds for person in fold) == list(PEOPLE)
    assert sorted(len(fold) for fold in THREE.folds) == [13, 13, 14]


def test_folds_and_validation_people_are_those_of_every_other_machine() -> None:
    """Written down: results are compared across years, and Python's own hash differs between runs."""
    assert people_folds("two", 1, "abcdef", 2).folds == (("b", "e", "f"), ("a", "c", "d"))
    assert carve_validation([*"abcdefghijklmnopqrst"])[1] == ("c", "e", "k")


def test_the_order_of_the_people_does_not_matter() -> None:
    assert people_folds("three", 1, PEOPLE[::-1], 3) == THREE
    assert people_folds("three", 1, [*PEOPLE, *PEOPLE], 3) == THREE
    assert carve_validation(PEOPLE[::-1]) == carve_validation(PEOPLE)


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_a_split_has_everybody_once(fold: int) -> None:
    split = THREE.split(PEOPLE, fold)
    assert sorted((*split.train, *split.val, *split.test)) == list(PEOPLE)
    assert split.test == THREE.folds[fold - 1]
    assert split.part("val") == split.val
    assert (list(split.train), list(split.val)) == (sorted(split.train), sorted(split.val))


def test_validation_people_come_out_of_the_training_people() -> None:
    split = THREE.split(PEOPLE, 1)
    assert (split.train, split.val) == carve_validation(sorted({*PEOPLE} - {*split.test}))
    assert len(split.val) == round(0.15 * (len(PEOPLE) - len(split.test)))


@pytest.mark.parametrize(("people", "validating"), [(0, 0), (1, 0), (2, 1), (3, 1), (10, 2), (100, 15)])
def test_at_least_one_of_two_people_validates(people: int, validating: int) -> None:
    train, val = carve_validation([f"P{number}" for number in range(people)])
    assert (len(train), len(val)) == (people - validating, validating)


def test_whoever_joins_moves_at_most_one_other() -> None:
    for count in range(2, len(PEOPLE)):
        before, after = {*carve_validation(PEOPLE[:count])[1]}, {*carve_validation(PEOPLE[: count + 1])[1]}
        assert len((before ^ after) - {PEOPLE[count]}) <= 1


def test_people_of_the_paper_that_are_not_in_the_folder_are_left_out() -> None:
    protocol = Protocol("paper", 1, (("S000", "S001", "absent"), ("S002",)))
    assert protocol.split(PEOPLE, 1).test == ("S000", "S001")


@pytest.mark.parametrize("fold", [0, -1, 4])
def test_a_fold_that_does_not_exist_is_refused(fold: int) -> None:
    with pytest.raises(DatasetError, match=f"'three' has no fold {fold}: give a fold from 1 to 3"):
        THREE.split(PEOPLE, fold)


@pytest.mark.parametrize(
    ("protocol", "people", "part"),
    [
        (Protocol("x", 1, (("absent",),)), PEOPLE, "test"),
        (Protocol("x", 1, (PEOPLE,)), PEOPLE, "train"),
        (Protocol("x", 1, (PEOPLE[:1],)), PEOPLE[:2], "val"),
    ],
)
def test_a_part_without_people_is_refused(protocol: Protocol, people: tuple[str, ...], part: str) -> None:
    with pytest.raises(EmptyDatasetError, match=f"'x' leaves nobody in the {part} part of fold 1"):
        protocol.split(people, 1)


@pytest.mark.parametrize(
    ("split", "parts"),
    [
        (Split(("a", "b"), ("c",), ("b",)), "train and test"),
        (Split(("a", "b"), ("b",), ("c",)), "train and val"),
        (Split(("a",), ("c",), ("b", "c")), "val and test"),
        (Split(("a", "a"), ("c",), ("b",)), "train and train"),
    ],
)
def test_a_leak_is_found_and_named(split: Split, parts: str) -> None:
    with pytest.raises(SubjectLeakError, match=rf"subject '[abc]' is in both {parts} of protocol 'p'"):
        check_disjoint(split, "p")


def test_a_clean_split_passes() -> None:
    check_disjoint(Split(("a",), ("b",), ("c",)), "p")


def test_the_fingerprint_follows_name_version_and_people() -> None:
    assert THREE.fingerprint() == people_folds("three", 1, PEOPLE, 3).fingerprint()
    shuffled = Protocol("three", 1, tuple(fold[::-1] for fold in THREE.folds))
    assert shuffled.fingerprint() == THREE.fingerprint()
    others = [
        people_folds("four", 1, PEOPLE, 3),
        people_folds("three", 2, PEOPLE, 3),
        people_folds("three", 1, PEOPLE[1:], 3),
        Protocol("three", 1, THREE.folds[::-1]),
    ]
    assert len({other.fingerprint() for other in others} - {THREE.fingerprint()}) == 4
