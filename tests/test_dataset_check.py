"""`aullava datasets check` as a user runs it: exit codes, one line for a mistake, a page to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from aullava.cli import main
from tests.data.bp4d.data import write_avi
from tests.data.folder.data import write
from tests.datamodules.bp4d_roots import table, write_pictures, write_table

LEVEL = "options.scale=level"


def _check(root: Path, *words: str) -> int:
    return main(["datasets", "check", "folder", "--root", str(root), "--out", str(root / "out"), *words])


def test_a_sound_dataset_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    assert _check(tmp_path, "--workers", "1", LEVEL) == 0
    told = capsys.readouterr()
    assert "faces     36 of 9 people" in told.out
    assert f"report    {tmp_path / 'out/report.html'}" in told.out
    assert (tmp_path / "out/report.json").is_file()
    assert told.err == ""


def test_something_absent_is_a_warning_and_strict_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    (tmp_path / "person 0/0.png").unlink()
    assert _check(tmp_path, LEVEL) == 0
    assert "warning   1 x missing-image" in capsys.readouterr().out
    assert _check(tmp_path, "--strict", LEVEL) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert "there is no picture" in told.err


def test_something_broken_ends_with_2_and_still_writes_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    (tmp_path / "person 0/0.png").write_text("<!doctype html>")
    assert _check(tmp_path, LEVEL) == 2
    assert "ERROR     1 x broken-image" in capsys.readouterr().out
    assert "broken-image" in (tmp_path / "out/report.html").read_text()
    assert _check(tmp_path, "--labels-only", LEVEL) == 0


def test_a_label_out_of_range_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    assert _check(tmp_path) == 2  # the scale is presence by default, and the labels are levels
    assert "label-out-of-range" in capsys.readouterr().out


def _check_bp4d(root: Path) -> int:
    return main(["datasets", "check", "bp4d", "--root", str(root), "--out", str(root / "out")])


def test_pictures_without_their_labels_are_a_broken_structure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for task in ("T1", "T2"):
        write_table(tmp_path, table([1]), f"F001_{task}")
        write_pictures(tmp_path / f"Sequences(2D+3D)/F001/{task}", "0001.jpg")
    assert _check_bp4d(tmp_path) == 0
    (tmp_path / "AUCoding/AU_OCC/F001_T1.csv").unlink()
    assert _check_bp4d(tmp_path) == 2
    assert "ERROR     1 x missing-labels, the first: " in capsys.readouterr().out
    assert "missing-labels" in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize(("kind", "frames"), [("frame-count", 3), ("broken-video", 0)])
def test_a_video_that_was_cut_off_is_a_broken_structure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, frames: int
) -> None:
    write_avi(tmp_path, tasks=(1, 2))
    write_table(tmp_path, table([1, 2, 3, 4, 5]), "F001_T1")
    if not frames:
        (tmp_path / "videos/2F01_01.avi").write_bytes(bytes(100))
    assert _check_bp4d(tmp_path) == 2
    assert f"x {kind}, the first: " in capsys.readouterr().out
    assert (tmp_path / "out/report.json").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["datasets", "check"], "which dataset is to be checked?"),
        (["datasets", "check", "foldr"], "unknown dataset 'foldr', did you mean 'folder'?"),
        (["datasets", "check", "folder", "--root", ".", "--out", __file__], "is a file): give another --out"),
        (["datasets", "check", "folder", "--workers", "-1"], "argument --workers: -1 is less than 0"),
        (["datasets", "check", "folder"], "dataset 'folder' has no root"),
        (
            ["datasets", "check", "folder", "--root", "gone"],
            "--root gone is not a folder: give the folder that",
        ),
        (["datasets", "check", "folder", "options.scal=x"], "unknown option 'scal' of dataset 'folder'"),
        (["datasets", "folder", "x=1"], "x=1"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert said in told.err
