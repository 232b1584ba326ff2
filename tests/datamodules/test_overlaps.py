"""The same person under several datasets: found, refused, left out."""

from __future__ import annotations

import pytest

from datamodules.errors import EmptyDatasetError, SubjectLeakError
from datamodules.overlaps import Members, appearances, check_apart, without_overlaps
from datamodules.protocols import Split


def _disfa(subject: str) -> str:
    return f"disfa:{subject}"


def _part_b(subject: str) -> str:
    """As FEAFA+ names its sequences: 2.output shows SN002 of DISFA."""
    return f"disfa:SN{int(subject.partition('.')[0]):03d}"


DISFA = Members("disfa", Split(("SN001", "SN002"), ("SN003",), ("SN004", "SN005")), _disfa)
AGREES = Members("disfa_plus", Split(("SN001",), ("SN003",), ("SN005",)), _disfa)


def test_the_same_names_of_different_people_are_no_overlap() -> None:
    other = Members("bp4d_plus", Split(("SN004",), ("SN005",), ("SN001",)), lambda one: f"bp4d_plus:{one}")
    check_apart([DISFA, other])


def test_one_person_in_one_part_of_all_datasets_is_fine() -> None:
    check_apart([DISFA, AGREES])


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (
            Split(("SN004",), ("SN003",), ("SN005",)),
            "person 'disfa:SN004' is in the test part of 'disfa' (as 'SN004') and in the train part of "
            "'disfa_plus' (as 'SN004'), so a test would score people that were trained on: choose protocols",
        ),
        (
            Split(("SN001",), ("SN005",), ("SN004",)),
            "'disfa:SN005' is in the test part of 'disfa' (as 'SN005')",
        ),
        (
            Split(("SN003",), ("SN009",), ("SN004",)),
            "'disfa:SN003' is in the val part of 'disfa' (as 'SN003')",
        ),
    ],
)
def test_a_person_in_different_parts_is_refused(split: Split, said: str) -> None:
    with pytest.raises(SubjectLeakError) as refused:
        check_apart([DISFA, Members("disfa_plus", split, _disfa)])
    assert said in str(refused.value)
    assert "data.shared_people=leave_out" in str(refused.value)


def test_other_names_of_the_same_person_are_found() -> None:
    part_b = Members("feafa", Split(("4.output",), ("3.output",), ("5.output",)), _part_b)
    with pytest.raises(SubjectLeakError, match=r"'disfa:SN004' .* \(as 'SN004'\) .* \(as '4\.output'\)"):
        check_apart([DISFA, part_b])
    assert len(appearances([DISFA, part_b])["disfa:SN004"]) == 2


def test_two_names_in_one_dataset_are_found() -> None:
    twice = Members("x", Split(("a1",), ("b",), ("a2",)), lambda one: f"x:{one[0]}")
    with pytest.raises(SubjectLeakError, match=r"train part of 'x' \(as 'a1'\) and in the test part of 'x'"):
        check_apart([twice])


def test_leaving_out_keeps_the_tests_and_makes_a_mixture_that_is_apart() -> None:
    other = Members("disfa_plus", Split(("SN003", "SN004", "SN009"), ("SN005", "SN010"), ("SN001",)), _disfa)
    splits, left_out = without_overlaps([DISFA, other])
    assert splits["disfa"] == Split(("SN002",), ("SN003",), ("SN004", "SN005"))
    assert splits["disfa_plus"] == Split(("SN009",), ("SN010",), ("SN001",))
    assert left_out == {"disfa": ("SN001",), "disfa_plus": ("SN003", "SN004", "SN005")}
    check_apart([Members(one.dataset, splits[one.dataset], one.identity) for one in (DISFA, other)])


def test_leaving_nobody_out_changes_nothing() -> None:
    splits, left_out = without_overlaps([DISFA, AGREES])
    assert splits == {"disfa": DISFA.split, "disfa_plus": AGREES.split}
    assert left_out == {"disfa": (), "disfa_plus": ()}


def test_a_part_that_runs_empty_is_refused() -> None:
    other = Members("disfa_plus", Split(("SN004",), ("SN009",), ("SN001",)), _disfa)
    with pytest.raises(EmptyDatasetError, match="dataset 'disfa_plus' has nobody left in its train part"):
        without_overlaps([DISFA, other])
