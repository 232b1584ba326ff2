"""`aullava prepare` as a user runs it, kill -9 included."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aullava.cli import main
from datamodules.faces import GROUP, FaceSettings
from datamodules.prepare import prepare
from datamodules.store import FaceStore
from tests.data.disfa.data import write as write_disfa
from tests.datamodules.drawn_people import files_of, folder, write_people
from tests.source_tree import REPOSITORY

SLOW = """
import time
from datamodules.detection import Detection

class Slow:
    version = "slow 1"
    def __init__(self, min_score): ...
    def detect(self, image):
        time.sleep(0.1)  # long enough to be killed at it
        return [Detection((0.0, 0.0, 64.0, 64.0), None, 1.0)]
"""


def _wait(seconds: float, until: Callable[[], bool]) -> bool:
    """Look again and again; the limit is for broken code only."""
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def slow_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package with a detector that takes its time; the folder to put on the path."""
    place = tmp_path / "packages"
    info = place / "slow_faces-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-faces\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nslow = slow_faces:Slow\n")
    (place / "slow_faces.py").write_text(SLOW)
    monkeypatch.syspath_prepend(str(place))
    yield place
    sys.modules.pop("slow_faces", None)


def _running(word: str) -> list[str]:
    """Processes with this word on their command line."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if word.encode() in words:
            found.append(place.parent.name)
    return found


def test_kill_9_costs_only_what_was_not_finished(tmp_path: Path, slow_detector: Path) -> None:
    root = write_people(tmp_path / "people", people=8, faces=4, flaws=False)
    out, settings = tmp_path / "killed", FaceSettings(size=32, margin=0.0, detector="slow")
    words = ["prepare", "folder", "--root", str(root), "--out", str(out), "--size", "32", "--margin", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(slow_detector)])}
    command = [sys.executable, "-m", "aullava", *words, "--detector", "slow", "--workers", "2"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    shards = out / "shards"
    assert _wait(600, lambda: len(list(shards.glob("*.arrow"))) >= 2 or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert _wait(60, lambda: not _running(str(out)))  # nobody goes on without the one who asked
    done = {path: path.stat().st_mtime_ns for path in shards.glob("*.arrow")}
    assert 2 <= len(done) < 8

    module = folder(root)
    report = prepare(module, out, settings, progress=False)
    assert report.written == (8 - len(done)) * 4
    assert {path: path.stat().st_mtime_ns for path in done} == done
    whole = tmp_path / "whole"
    prepare(module, whole, settings, progress=False)
    assert files_of(out) == files_of(whole)
    FaceStore.open(out).verify()


def test_it_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = write_people(tmp_path / "people"), tmp_path / "out"
    words = [
        "prepare",
        "folder",
        "--root",
        str(root),
        "options.scale=presence",
        "--out",
        str(out),
        "--size",
        "32",
    ]
    words += ["--align", "five_points", "--margin", "0.5", "--quality", "80", "--workers", "1"]
    assert main(words) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == f"{out}: 19 faces of 21 frames"
    assert lines[1].startswith("21 frames read in ")
    assert f"without a crop: 1 (no face found), listed in {out / 'missing.csv'}" in lines
    assert f"without a crop: 1 (unreadable), listed in {out / 'missing.csv'}" in lines
    assert lines[-1] == f"to read it: data.datasets.folder.prepared={out}"
    assert said.err.startswith("reading the labels of folder\n")
    assert "prepare folder: 100%" in said.err
    assert "image/s" in said.err
    assert re.search(r"\d\d:\d\d<\d\d:\d\d, ", said.err)  # the time it took, and what is left
    settings = FaceStore.open(out).settings
    assert settings.faces == FaceSettings(size=32, align="five_points", margin=0.5)
    assert settings.quality == 80
    assert main([*words, "options.folds=4"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "nothing to do: everything is there"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["folde"], "command line: unknown dataset 'folde', did you mean 'folder'?"),
        (
            ["folder", "options.scal=level"],
            "command line: unknown option 'scal' of dataset 'folder', did you",
        ),
        (["folder", "--size", "4"], "faces.size=4 is outside 16 to 2048 pixels: give a value between"),
        (["folder", "--detector", "yunt"], "there is no face detector 'yunt': did you mean 'yunet'?"),
        (["folder"], "dataset 'folder' has no root: give --root DIR, the folder that"),
        (["folder", "--root", "/no/such"], "--root /no/such is not a folder: give the folder that holds"),
        (["folder", "--workers", "0"], "argument --workers: 0 is less than 1 (see `aullava prepare --help`)"),
        (["folder", "--fast", "options.folds=4"], "unrecognized arguments: --fast options.folds=4"),
    ],
)
def test_a_mistake_is_answered_in_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", *words[:1], "--out", str(tmp_path / "out"), *words[1:]]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith(f"aullava: {said}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", [".", "faces/of/it"])
def test_a_store_inside_the_root_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    root = write_people(tmp_path / "people")
    out = root / place
    before = sorted(root.rglob("*"))
    assert main(["prepare", "folder", "--root", str(root), "--out", str(out)]) == 2
    told = f"aullava: --out {out} lies inside the root {root}: give another folder\n"
    assert capsys.readouterr() == ("", told)
    assert sorted(root.rglob("*")) == before


def test_strict_refuses_the_first_broken_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_people(tmp_path / "people")
    words = ["prepare", "folder", "--root", str(root), "--out", str(tmp_path / "out"), "--strict"]
    assert main([*words, "--workers", "1"]) == 2
    assert "p2/8.png cannot be read" in capsys.readouterr().err


def test_what_the_reader_left_out_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A labelled frame without its picture stands in no store, so the command itself says so."""
    write_disfa(tmp_path / "disfa")
    for table in (tmp_path / "disfa/ActionUnit_Labels/SN001").glob("*.txt"):
        lines = table.read_text().splitlines()
        table.write_text("\n".join([*lines, *(f"{len(lines) + more},0" for more in (1, 2, 3)), ""]))
    words = ["prepare", "disfa", "--root", str(tmp_path / "disfa"), "--out", str(tmp_path / "out")]
    assert main([*words, "--workers", "1"]) == 0
    assert "warning: 3 x frame-count, the first: SN001 of dataset 'disfa' has" in capsys.readouterr().out
