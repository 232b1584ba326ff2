"""The field's fold lists: who is tested in which fold, and the user's own lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from datamodules.canonical import (
    BP4D_FERA2015,
    BP4D_FOLDS,
    BP4D_PLUS_FOLDS,
    DISFA_FOLDS,
    FEAFA_FIRST_20,
    find_protocol,
)
from datamodules.errors import DatasetError
from datamodules.expected_counts import expected_counts
from datamodules.protocols import Protocol, leave_one_subject_out, user_folds
from tests.data.drawn import save_text

BP4D = sorted(person for fold in BP4D_FOLDS.folds for person in fold)
PEOPLE = tuple("abcdefgh")


@pytest.mark.parametrize(("protocol", "dataset"), [(BP4D_FOLDS, "bp4d"), (DISFA_FOLDS, "disfa")])
def test_folds_are_numbered_as_in_me_graphau(protocol: Protocol, dataset: str) -> None:
    """Fold 1 tests part 3, fold 2 part 2, fold 3 part 1; the parts are written down twice."""
    counts = expected_counts(dataset)
    assert counts is not None
    parts = [sorted(counts.part_subjects[part]) for part in ("part3", "part2", "part1")]
    assert [sorted(fold) for fold in protocol.folds] == parts
    people = [person for part in parts for person in part]
    for fold, weights in zip((1, 2, 3), counts.weights.values(), strict=True):
        trained = {person for part in weights.parts for person in counts.part_subjects[part]}
        split = protocol.split(people, fold)
        assert {*split.train, *split.val} == trained


def test_the_folds_have_the_published_sizes() -> None:
    assert [len(fold) for fold in BP4D_FOLDS.folds] == [13, 14, 14]
    assert [len(fold) for fold in DISFA_FOLDS.folds] == [9, 9, 9]
    assert [len(fold) for fold in BP4D_PLUS_FOLDS.folds] == [35, 35, 35, 35]
    assert {"F006", "M015"} <= set(BP4D_FOLDS.folds[0])
    assert {"SN003", "SN029"} <= set(DISFA_FOLDS.folds[0])
    assert {"M040", "M020"} <= set(BP4D_PLUS_FOLDS.folds[0])


def test_the_four_folds_of_bp4d_plus_have_everybody_once() -> None:
    everybody = [f"F{n:03d}" for n in range(1, 83)] + [f"M{n:03d}" for n in range(1, 59)]
    assert sorted(person for fold in BP4D_PLUS_FOLDS.folds for person in fold) == everybody


def test_fera_2015_tests_the_even_ids() -> None:
    split = BP4D_FERA2015.split(BP4D, 1)
    assert len(split.test) == 20
    assert all(int(person[1:]) % 2 == 0 for person in split.test)
    assert all(int(person[1:]) % 2 == 1 for person in (*split.train, *split.val))
    assert len(split.train) + len(split.val) == 21


def test_the_first_20_sequences_of_feafa_are_tested() -> None:
    everything = [f"PV{n:03d}" for n in range(1, 128)]
    assert FEAFA_FIRST_20.split(everything, 1).test == tuple(everything[:20])


def test_fingerprints_are_those_of_every_other_machine() -> None:
    """Written down: whoever changes a list has to raise its version and this."""
    known = (BP4D_FOLDS, DISFA_FOLDS, BP4D_PLUS_FOLDS, BP4D_FERA2015, FEAFA_FIRST_20)
    assert [protocol.fingerprint() for protocol in known] == FINGERPRINTS


FINGERPRINTS = [
    "df50efd597272048",
    "95652449a1f6c585",
    "696938a6f0af58de",
    "ed12a75bcba0b907",
    "ebf70b985a54c9ba",
]


def test_a_name_finds_its_protocol(tmp_path: Path) -> None:
    known = {"fera2015": BP4D_FERA2015}
    assert find_protocol("fera2015", PEOPLE, known) is BP4D_FERA2015
    assert find_protocol("leave_one_subject_out", PEOPLE, known) == leave_one_subject_out(PEOPLE)
    assert len(find_protocol("people_folds", PEOPLE, known, folds=4).folds) == 4
    own = save_text(tmp_path / "own.txt", "a b\nc")
    assert find_protocol("own_folds", PEOPLE, known, str(own)).folds == (("a", "b"), ("c",))
    with pytest.raises(DatasetError, match=r"'own_folds' needs your list: set options\.folds_file"):
        find_protocol("own_folds", PEOPLE, known)


def test_everybody_is_tested_alone_once() -> None:
    protocol = leave_one_subject_out([*PEOPLE[::-1], "a"])
    assert protocol.folds == tuple((person,) for person in PEOPLE)
    split = protocol.split(PEOPLE, 2)
    assert split.test == ("b",)
    assert len(split.train) + len(split.val) == 7


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("own.txt", "# tested people\n a b \n\nc,d # two more\ne\n"),
        ("own.csv", "\ufeffa, b\nc, d\ne\n"),
        ("own.json", '{"2": ["c", "d"], "10": ["e"], "1": ["a", "b"]}'),
        ("own.JSON", '[["a", "b"], ["c", "d"], ["e"]]'),
    ],
)
def test_a_users_list_may_be_text_or_json(tmp_path: Path, name: str, text: str) -> None:
    assert user_folds(save_text(tmp_path / name, text), PEOPLE).folds == (("a", "b"), ("c", "d"), ("e",))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "own.txt",
            "a b\nc a\n",
            r"own\.txt, line 2: 'a' is also in line 1: name every person in one fold only",
        ),
        (
            "own.txt",
            "a b\n\nc aa\n",
            r"own\.txt, line 3: the dataset has nobody called 'aa': did you mean 'a'",
        ),
        ("own.txt", "a a\n", r"own\.txt, line 1: 'a' is also in line 1"),
        ("own.txt", "# nobody\n", r"own\.txt names nobody"),
        ("own.json", '{"1": ["a"], "2": ["a"]}', r"own\.json, fold 2: 'a' is also in fold 1"),
        ("own.json", '{"1": "a"}', r"the folds cannot be read from .*own\.json \(it is not of the form"),
        ("own.json", "{", r"the folds cannot be read from .*own\.json \("),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        user_folds(save_text(tmp_path / name, text), PEOPLE)


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"the folds cannot be read from .*gone\.txt"):
        user_folds(tmp_path / "gone.txt", PEOPLE)
