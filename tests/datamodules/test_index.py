"""The table of a dataset is sorted, checked and hashed before any picture is read."""

from __future__ import annotations

import numpy as np
import pytest

from datamodules.action_units import UNKNOWN, Scale
from datamodules.errors import DatasetError, EmptyDatasetError, LabelOutOfRangeError
from datamodules.index import Index, IndexRows, check_index, chosen_columns, out_of_range

AUS = ("AU1", "AU2", "AU12")


def _index(ids: str = "cab", labels: list[list[float]] | None = None) -> Index:
    values = np.array(labels or [[row, 0, 1] for row in range(len(ids))], np.float32).reshape(len(ids), 3)
    return Index(
        sample_ids=np.array(list(ids), np.str_),
        subjects=np.array([f"P{one}" for one in ids], np.str_),
        places=np.array([f"{one}.png" for one in ids], np.str_),
        labels=values,
        origins=np.array([f"t.csv:{line}" for line in range(2, len(ids) + 2)], np.str_),
    )


def _checked(index: Index, scale: Scale = Scale.LEVEL) -> Index:
    return check_index(index, "faces", AUS, scale, "/here")


def test_rows_are_sorted_together() -> None:
    index = _checked(_index("cab"))
    assert index.sample_ids.tolist() == ["a", "b", "c"]
    assert index.subjects.tolist() == ["Pa", "Pb", "Pc"]
    assert index.places.tolist() == ["a.png", "b.png", "c.png"]
    assert index.origins.tolist() == ["t.csv:3", "t.csv:4", "t.csv:2"]
    assert index.labels[:, 0].tolist() == [1, 2, 0]


def test_no_rows_are_refused() -> None:
    with pytest.raises(EmptyDatasetError, match="'faces' found no samples in /here"):
        _checked(_index(""))


def test_a_row_that_stands_twice_is_named_with_its_line() -> None:
    with pytest.raises(DatasetError, match=r"^t\.csv:4: sample 'a' of dataset 'faces' stands twice"):
        _checked(_index("abac"))


@pytest.mark.parametrize(
    ("scale", "good", "bad"),
    [
        (Scale.PRESENCE, [0, 1, UNKNOWN], [0.5, 2, -2, np.nan, np.inf]),
        (Scale.LEVEL, [0, 1, 2, 3, 4, 5, UNKNOWN], [6, 2.5, -2, np.nan, -np.inf]),
        (Scale.INTENSITY, [0, 0.37, 1, UNKNOWN], [1.01, -0.01, -2, np.nan, np.inf]),
    ],
)
def test_a_label_is_unknown_or_on_its_scale(scale: Scale, good: list[float], bad: list[float]) -> None:
    for value in good:
        assert _checked(_index("a", [[0, value, 1]]), scale).labels[0, 1] == np.float32(value)
        assert scale.allows(value) or value == UNKNOWN
    for value in bad:
        with pytest.raises(LabelOutOfRangeError, match=rf"t\.csv:2: label \S+ of AU2 .*'{scale.value}'"):
            _checked(_index("a", [[0, value, 1]]), scale)


def test_the_first_wrong_label_of_the_file_is_named() -> None:
    with pytest.raises(LabelOutOfRangeError, match=r"^t\.csv:3: label 9 of AU12"):
        _checked(_index("zyx", [[0, 0, 0], [0, 0, 9], [7, 0, 0]]))


def test_rows_of_people() -> None:
    index = _checked(_index("abcd"))
    assert index.rows_of({"Pd", "Pb"}).tolist() == [1, 3]
    assert index.rows_of(set()).tolist() == []
    assert len(index) == 4


def test_taking_columns_keeps_the_faces_and_the_order_asked() -> None:
    index = _checked(_index("ab", [[1, 2, 3], [4, 5, 0]]))
    taken = index.take([2, 0])
    assert taken.labels.tolist() == [[3, 1], [0, 4]]
    assert taken.labels.flags["C_CONTIGUOUS"]
    assert taken.sample_ids.tolist() == index.sample_ids.tolist()
    assert index.take([0, 1, 2]).labels is index.labels  # all of them are not copied


def test_columns_by_code() -> None:
    assert chosen_columns("faces", AUS, None) == [0, 1, 2]
    assert chosen_columns("faces", AUS, ("AU12", "AU1")) == [2, 0]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (("AU1", "AU11"), r"'faces' does not code AU11: did you mean 'AU1'\? \(it codes AU1, AU2, AU12\)"),
        ((), r"data\.datasets\.faces\.aus is empty"),
        (("AU1", "AU1"), "names AU1 twice"),
    ],
)
def test_columns_that_cannot_be_had_are_refused(wanted: tuple[str, ...], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        chosen_columns("faces", AUS, wanted)


def test_the_fingerprint_follows_faces_people_and_labels() -> None:
    plain = _checked(_index("abc"))
    assert _checked(_index("abc")).fingerprint() == plain.fingerprint()
    relabelled = plain.rows([0, 1, 2])
    relabelled.labels[0, 0] = UNKNOWN
    others = [relabelled, plain.take([0, 1]), plain.take([1, 0, 2]), _checked(_index("abd"))]
    assert len({other.fingerprint() for other in others} - {plain.fingerprint()}) == len(others)


def test_people_are_found_wherever_their_rows_stand() -> None:
    ids = np.array([f"{number:02d}" for number in range(6)], np.str_)
    labels = np.zeros((6, 3), np.float32)
    index = _checked(Index(ids, np.array(list("BBABCA"), np.str_), ids, labels, ids))
    assert index.people() == ["A", "B", "C"]
    assert index.rows_of(["B"]).tolist() == [0, 1, 3]
    assert index.rows_of(["A", "C", "nobody"]).tolist() == [2, 4, 5]
    nothing = index.rows(np.zeros(0, np.int64))
    assert (nothing.people(), nothing.rows_of(["A"]).tolist()) == ([], [])


def test_attributes_go_with_their_rows() -> None:
    rows = IndexRows()
    rows.add("b/1", "P", "b.png", [1, 0, UNKNOWN], "t.csv:2", task="T2", camera="left")
    rows.extend(
        ["a/1", "a/2"], "Q", ["1", "2"], [[0, 1, 2], [3, 4, 5]], ["x:1", "x:2"], task="T1", camera="right"
    )
    index = _checked(rows.index(3)).take([2, 1])
    assert index.sample_ids.tolist() == ["a/1", "a/2", "b/1"]
    assert index.subjects.tolist() == ["Q", "Q", "P"]
    assert index.attributes["task"].tolist() == ["T1", "T1", "T2"]
    assert index.attributes["camera"].tolist() == ["right", "right", "left"]
    assert index.labels.tolist() == [[2, 1], [5, 4], [UNKNOWN, 0]]
    assert index.origins.tolist() == ["x:1", "x:2", "t.csv:2"]


def test_rows_collect_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datamodules.index._CHUNK", 4)
    rows = IndexRows()
    for number in range(10):
        rows.add(
            f"{number:03d}" * (1 + number % 3), "P" * (1 + number), str(number), [number % 6], f"t:{number}"
        )
    rows.extend([], "nobody", [], np.zeros((0, 1)), [])
    index = rows.index(1)
    assert index.sample_ids.tolist() == [f"{number:03d}" * (1 + number % 3) for number in range(10)]
    assert index.subjects.tolist() == ["P" * (1 + number) for number in range(10)]
    assert index.labels.ravel().tolist() == [number % 6 for number in range(10)]
    assert rows.index(1).labels.dtype == np.float32


def test_no_rows_make_an_index_that_the_check_refuses() -> None:
    index = IndexRows().index(3)
    assert index.labels.shape == (0, 3)
    with pytest.raises(EmptyDatasetError, match="found no samples"):
        _checked(index)


def test_every_label_out_of_range_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datamodules.index._CHUNK", 2)
    labels = np.array([[0, 5], [7, UNKNOWN], [1, 2], [3, 4], [np.nan, 6]], np.float32)
    assert out_of_range(labels, Scale.LEVEL).tolist() == [[1, 0], [4, 0], [4, 1]]
    assert out_of_range(labels[:1], Scale.LEVEL).tolist() == []


def test_a_fingerprint_does_not_depend_on_how_much_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _checked(_index("abcdef")).fingerprint()
    monkeypatch.setattr("datamodules.index._CHUNK", 3)
    assert _checked(_index("abcdef")).fingerprint() == plain
