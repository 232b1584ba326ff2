"""Label tables, numbers in names and folders, in the forms that copies of one dataset differ in."""

from __future__ import annotations

from pathlib import Path

import pytest

from datamodules.action_units import UNKNOWN
from datamodules.errors import DatasetError
from datamodules.labels import child, label, natural, numbered, read_table
from datamodules.layout import below


def _file(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "labels.txt"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_table_keeps_its_line_numbers(tmp_path: Path) -> None:
    path = _file(tmp_path, "\ufeff0, 1 ,2\r\n\r\n7,0,1\n , ,\n8,9,0\n")
    assert read_table(path, ",") == [(1, ["0", "1", "2"]), (3, ["7", "0", "1"]), (5, ["8", "9", "0"])]


def test_white_space_of_any_width_divides(tmp_path: Path) -> None:
    path = _file(tmp_path, "   4.0000000e+00   2.0e+00\t1\n\n6 1   0  \n")
    assert read_table(path) == [(1, ["4.0000000e+00", "2.0e+00", "1"]), (3, ["6", "1", "0"])]


def test_a_cell_in_quotes_may_hold_a_line_break(tmp_path: Path) -> None:
    path = _file(tmp_path, 'a,b\n"one\ntwo",2\n3,4\n')
    assert read_table(path, ",", header=True) == [(1, ["a", "b"]), (3, ["one\ntwo", "2"]), (4, ["3", "4"])]


@pytest.mark.parametrize("row", ["1,2", "1,2,3,4"])
def test_a_row_beside_its_header_is_refused(tmp_path: Path, row: str) -> None:
    path = _file(tmp_path, f"0,1,2\n1,0,0\n{row}\n")
    assert len(read_table(path, ",")) == 3
    with pytest.raises(DatasetError, match=rf"labels\.txt:3: the row has {row.count(',') + 1} cells"):
        read_table(path, ",", header=True)


def test_an_empty_file_has_no_rows_and_no_header(tmp_path: Path) -> None:
    path = _file(tmp_path, "\n \n")
    assert read_table(path) == []
    with pytest.raises(DatasetError, match=r"labels\.txt is empty: it must begin with a line"):
        read_table(path, header=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><html>Sign in</html>", "is HTML, a page of a web site"),
        (b"  \n<html>", "is HTML, a page of a web site"),
        (b"1,2\n\x00\x00\x01", "is no text"),
        (b"\x89PNG\r\n\x1a\n", "cannot be read as text"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "AU06.csv"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"AU06\.csv {said}"):
        read_table(path, ",")


def test_a_missing_label_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there is no label file .*gone\.txt"):
        read_table(tmp_path / "gone.txt")


@pytest.mark.parametrize(
    ("cell", "unknown", "value"),
    [
        ("1", (), 1.0),
        (" 2.0000000e+00 ", (), 2.0),
        (0.25, (), 0.25),
        ("9", ("9",), UNKNOWN),
        ("9", (9,), UNKNOWN),
        (9.0, (9,), UNKNOWN),
        ("999", (9,), 999.0),
        ("", (), UNKNOWN),
        (" ? ", (), UNKNOWN),
        ("NaN", (), UNKNOWN),
        (float("nan"), (), UNKNOWN),
        ("0", (9,), 0.0),
    ],
)
def test_a_label_is_a_number_or_unknown(
    cell: str | float, unknown: tuple[str | float, ...], value: float
) -> None:
    assert label(cell, "x.csv:2", "AU1", unknown) == value


def test_a_label_that_is_no_number_is_named_with_its_line() -> None:
    with pytest.raises(DatasetError, match=r"^x\.csv:2: 'yes' as the label of AU12 is no number"):
        label("yes", "x.csv:2", "AU12")


@pytest.mark.parametrize(
    ("stem", "number"), [("0643", 643), ("643", 643), ("img46", 46), ("gong2_2_00004832", 4832), ("000", 0)]
)
def test_the_number_of_a_name(stem: str, number: int) -> None:
    assert natural(stem) == number


def test_a_name_without_a_number_is_refused() -> None:
    with pytest.raises(DatasetError, match="'cover' holds no number"):
        natural("cover")


def _touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_pictures_are_found_by_number_whatever_their_width(tmp_path: Path) -> None:
    folder = _touch(tmp_path / "T1", "009.jpg", "0010.JPG", "11.png", ".010.jpg", "Thumbs.db", "cover.jpg")
    assert {number: path.name for number, path in numbered(folder).items()} == {
        9: "009.jpg",
        10: "0010.JPG",
        11: "11.png",
    }


def test_a_large_folder_is_sorted_by_names_and_entered_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20,000 pictures take a tenth of the time that comparing and asking paths takes."""
    folder = _touch(tmp_path / "T1", "2.jpg", "10.jpg", "1.jpg")
    for slow in ("__lt__", "iterdir", "is_dir", "stat"):
        monkeypatch.setattr(Path, slow, lambda *_, **__: pytest.fail("paths are slow"))
    assert list(numbered(folder)) == [1, 10, 2]
    assert child(folder, "1*.jpg", folders=True) is None
    assert below(folder, "T1") is None


def test_an_archive_beside_its_folder_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "Sequences(2D+3D)").mkdir()
    _touch(tmp_path, "Sequences(2D+3D).zip")
    assert child(tmp_path, "sequences*", folders=True) == tmp_path / "Sequences(2D+3D)"
    assert below(tmp_path, "sequences*") == tmp_path / "Sequences(2D+3D)"
    with pytest.raises(DatasetError, match="holds both"):
        child(tmp_path, "sequences*")


def test_two_pictures_of_one_number_are_refused(tmp_path: Path) -> None:
    folder = _touch(tmp_path / "T1", "009.jpg", "0009.jpg")
    with pytest.raises(DatasetError, match=r"two files of number 9, 0009\.jpg and 009\.jpg"):
        numbered(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    for look in (numbered, child):
        with pytest.raises(DatasetError, match=r"there is no folder .*gone"):
            look(tmp_path / "gone")


def test_an_entry_is_found_in_any_case_and_with_any_letters_in_its_name(tmp_path: Path) -> None:
    folder = _touch(tmp_path / "r", "Sequences(2D+3D)", "Video_RightCamera", "a[1]", ".Video_LeftCamera")
    assert child(folder, "sequences(2d+3d)") == folder / "Sequences(2D+3D)"
    assert child(folder, "video*_rightcamera") == folder / "Video_RightCamera"
    assert child(folder, "A[1]") == folder / "a[1]"
    assert child(folder, "video*_leftcamera") is None
    assert child(folder, "nothing", "a?1]") == folder / "a[1]"


def test_two_entries_for_one_pattern_are_refused(tmp_path: Path) -> None:
    folder = _touch(tmp_path / "r", "Video_LeftCamera", "Videos_LeftCamera")
    with pytest.raises(DatasetError, match="holds both 'Video_LeftCamera' and 'Videos_LeftCamera'"):
        child(folder, "video*_leftcamera")
