"""Columns of label tables, wherever the header stands, and the one line that each broken table gets."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from datamodules.errors import DatasetError
from datamodules.spreadsheet import read_columns, whole_number
from tests.data.small_pictures import save_workbook


def test_the_header_is_the_first_row_with_all_names(tmp_path: Path) -> None:
    rows = [
        ("About Name and Age",),
        (),
        ("Name", "see below"),
        (None, " AGE ", "'Name'"),
        (1, 2.0, "a"),
        (),
        (1, 30, "b"),
    ]
    save_workbook(tmp_path / "t.xlsx", rows)
    read = read_columns(tmp_path / "t.xlsx", ("Name", "Age"))
    assert read == [(5, {"Name": "a", "Age": "2"}), (7, {"Name": "b", "Age": "30"})]


def test_a_workbook_may_leave_empty_cells_at_the_end_out(tmp_path: Path) -> None:
    save_workbook(tmp_path / "t.xlsx", [("a", "b"), (1,), (1, 2.5, None)])
    assert [row for _, row in read_columns(tmp_path / "t.xlsx", ("a", "b"))] == [
        {"a": "1", "b": ""},
        {"a": "1", "b": "2.5"},
    ]


def _rewritten(path: Path, old: str, new: str) -> None:
    """Change the XML of a workbook's sheet, as other programs than openpyxl would have written it."""
    with zipfile.ZipFile(path) as book:
        files = {name: book.read(name) for name in book.namelist()}
    sheet = next(name for name in files if name.startswith("xl/worksheets/sheet"))
    assert old.encode() in files[sheet]
    files[sheet] = files[sheet].replace(old.encode(), new.encode(), 1)
    with zipfile.ZipFile(path, "w") as book:
        for name, content in files.items():
            book.writestr(name, content)


def test_a_number_that_is_kept_with_a_point_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    save_workbook(path, [("a", "b"), (12, 2.5)])
    _rewritten(path, "<v>12</v>", "<v>12.0</v>")
    assert read_columns(path, ("a", "b")) == [(2, {"a": "12", "b": "2.5"})]


def test_a_wrong_size_in_the_workbook_cuts_nothing_off(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    save_workbook(path, [("a", "b"), (1, 2), (3, 4)])
    _rewritten(path, "<sheetData>", '<dimension ref="A1:B2"/><sheetData>')
    assert len(read_columns(path, ("a", "b"))) == 2


def test_a_csv_is_read_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\ufeffx,\"'Name'\",Age\n,a,2\n,b,30,\n\n,,\n", encoding="utf-8")
    read = read_columns(tmp_path / "t.csv", ("Age", "Name"))
    assert read == [(2, {"Age": "2", "Name": "a"}), (3, {"Age": "30", "Name": "b"})]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.xlsx", None, r"there is no label table .*gone\.xlsx"),
        ("page.xlsx", b"<!doctype html><title>404</title>", r"page\.xlsx is no \.xlsx workbook"),
        ("empty.xlsx", b"", r"empty\.xlsx is no \.xlsx workbook"),
        ("zip.xlsx", b"PK\x05\x06" + bytes(18), r"zip\.xlsx is no \.xlsx workbook"),
        ("t.csv", b"a,c\n1,2\n", r"t\.csv has no row that names the columns a, b \('b' is missing\)"),
        ("t.csv", b"", r"t\.csv has no row that names the columns a, b \('a' is missing\)"),
        ("t.csv", b"a,b,A\n1,2,3\n", r"t\.csv:1: column 'a' stands twice"),
        ("t.csv", b"a,b,c\n1,2\n", r"t\.csv:2: the row has 2 cells and the header 3"),
        ("t.csv", b"a,b\n1,2,3\n", r"t\.csv:2: the row has 3 cells and the header 2"),
    ],
)
def test_a_broken_table_is_named(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=said):
        read_columns(tmp_path / name, ("a", "b"))


def test_a_header_far_down_is_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n" * 60 + "a,b\n1,2\n")
    with pytest.raises(DatasetError, match="no row that names the columns"):
        read_columns(tmp_path / "t.csv", ("a", "b"))


@pytest.mark.parametrize(
    ("cell", "number"),
    [("12", 12), (" 007 ", 7), ("", None), ("/", None), ("-1", None), ("1.5", None), ("²", None)],
)
def test_whole_numbers(cell: str, number: int | None) -> None:
    assert whole_number(cell) == number
