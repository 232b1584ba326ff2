"""A table is read whole or cell by cell: with the same result, and with file and line of every row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from datamodules.action_units import UNKNOWN
from datamodules.errors import DatasetError, LabelOutOfRangeError
from datamodules.frame_tables import FrameTable, joined, levels_only, read_frame_table, second_column
from tests.data.drawn import save_text

PLAIN = "frame,AU1,x,AU2\n3,0,8,1\n4,1,8,9\n\n5,0,8,0\n"


def _columns(path: Path, cells: Sequence[str]) -> dict[str, int]:
    del path
    return {one: cells.index(one) for one in ("AU2", "AU1")}


def _read(path: Path, text: str) -> FrameTable:
    return read_frame_table(save_text(path, text), _columns, unknown=(9,))


def _single(path: Path, text: str, code: str) -> FrameTable:
    return read_frame_table(save_text(path, text), second_column(code), header=False)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "\ufeff" + PLAIN.replace("\n", "\r\n"),
        PLAIN.replace(",", " , "),
        PLAIN.replace("4,1,8,9", "4,1,8,?"),  # cell by cell from here on
        PLAIN.replace("4,1,8,9", "4,1,8,"),
        PLAIN.replace("4,1,8,9", '4,"1",8,9'),
        PLAIN.replace("4,1,8,9", "4,1,8,nan"),
    ],
)
def test_both_ways_of_reading_agree(tmp_path: Path, text: str) -> None:
    table = _read(tmp_path / "t.csv", text)
    assert table.aus == ("AU2", "AU1")
    assert table.frames.tolist() == [3, 4, 5]
    assert table.labels.tolist() == [[1, 0], [UNKNOWN, 1], [0, 0]]
    assert table.frames.dtype == np.int64
    assert table.labels.dtype == np.float32
    assert table.origins.texts() == [f"{tmp_path}/t.csv:{line}" for line in (2, 3, 5)]
    assert table.origins[2] == f"{tmp_path}/t.csv:5"


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    """A file that was cut off is no sequence without frames, and no unit that was never coded."""
    with pytest.raises(DatasetError, match=r"t\.csv holds no row with a label"):
        _read(tmp_path / "t.csv", "frame,AU1,x,AU2\n")
    with pytest.raises(DatasetError, match=r"u\.csv holds no row with a label"):
        _single(tmp_path / "u.csv", "", "AU1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PLAIN + "6,0,8\n", r"t\.csv:6: the row has 3 cells"),
        (PLAIN + "6.5,0,8,1\n", r"t\.csv:6: 6\.5 is no frame number"),
        (PLAIN + "-6,0,8,1\n", r"t\.csv:6: -6 is no frame number"),
        (PLAIN + "?,0,8,1\n", r"t\.csv:6: -1 is no frame number"),
        (PLAIN + "6,0,8,one\n", r"t\.csv:6: 'one' as the label of AU2 is no number"),
    ],
)
def test_a_row_that_cannot_be_meant_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        _read(tmp_path / "t.csv", text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there is no label file .*gone\.csv"):
        read_frame_table(tmp_path / "gone.csv", _columns)


def test_chosen_rows_keep_their_origins(tmp_path: Path) -> None:
    table = _read(tmp_path / "t.csv", PLAIN)
    some = table.rows(table.frames != 4)
    assert some.frames.tolist() == [3, 5]
    assert some.origins.texts() == [table.origins[0], table.origins[2]]


def test_tables_are_joined_on_the_frame_number(tmp_path: Path) -> None:
    first = _single(tmp_path / "a", "7,1\n5,2\n", "AU1")
    second = _single(tmp_path / "b", "\n5,3\n6,4\n", "AU2")
    table = joined([first, second])
    assert table.aus == ("AU1", "AU2")
    assert table.frames.tolist() == [5, 6, 7]
    assert table.labels.tolist() == [[2, 3], [UNKNOWN, 4], [1, UNKNOWN]]
    assert table.origins.texts() == [f"{tmp_path}/{where}" for where in ("a:2", "b:3", "a:1")]


def test_a_frame_that_stands_twice_is_named(tmp_path: Path) -> None:
    first = _single(tmp_path / "a", "5,1\n6,1\n", "AU1")
    second = _single(tmp_path / "b", "5,3\n6,4\n5,2\n", "AU2")
    with pytest.raises(DatasetError, match=r"/b:3: frame 5 stands twice"):
        joined([first, second])


@pytest.mark.parametrize("wrong", ["6", "2.5", "-2"])
def test_levels_are_whole_and_at_most_5(tmp_path: Path, wrong: str) -> None:
    good = _single(tmp_path / "a", "1,0\n2,5\n3,-1\n", "AU1")
    assert levels_only(good) is good
    with pytest.raises(
        LabelOutOfRangeError, match=rf"/b:2: label {wrong} of AU1 is outside the scale 'level'"
    ):
        levels_only(_single(tmp_path / "b", f"1,0\n2,{wrong}\n", "AU1"))
