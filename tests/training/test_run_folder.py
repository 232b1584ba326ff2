from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, Never

import pytest

from aullava.training.errors import RunError
from aullava.training.run_folder import new_run, update_result, versions, write_json, write_text
from datamodules.whole_file import is_draft, whole_file


def test_runs_are_numbered_one_after_the_other(tmp_path: Path) -> None:
    runs = tmp_path / "deep" / "runs"
    assert [new_run(runs, "demo").relative_to(runs) for _ in range(3)] == [
        Path("demo/1"),
        Path("demo/2"),
        Path("demo/3"),
    ]
    assert new_run(runs, "other") == runs / "other" / "1"


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    first = new_run(tmp_path, "demo")
    (first / "result.json").write_text("mine")
    (tmp_path / "demo" / "7").mkdir()
    for stranger in ("notes", "8b", "²", "-9"):
        (tmp_path / "demo" / stranger).mkdir()
    assert new_run(tmp_path, "demo").name == "8"
    assert (first / "result.json").read_text() == "mine"


def test_a_number_taken_since_the_folder_was_read_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = [new_run(tmp_path, "demo") for _ in range(2)]

    def nothing(self: Path) -> Iterator[Path]:
        return iter(())

    monkeypatch.setattr(Path, "iterdir", nothing)
    assert new_run(tmp_path, "demo") not in taken


def test_runs_that_start_at_once_get_different_folders(tmp_path: Path) -> None:
    barrier = Barrier(8)

    def start(_: int) -> Path:
        barrier.wait()
        return new_run(tmp_path, "demo")

    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(start, range(8)))
    assert len(set(folders)) == 8
    assert all(folder.is_dir() for folder in folders)


@pytest.mark.parametrize("where", ["runs", "runs/demo"])
def test_a_place_that_is_no_folder_is_refused(where: str, tmp_path: Path) -> None:
    (tmp_path / where).parent.mkdir(exist_ok=True)
    (tmp_path / where).write_text("a file")
    with pytest.raises(RunError, match=r"no run folder can be made in .*demo .*: set runs_dir to another"):
        new_run(tmp_path / "runs", "demo")


def test_a_score_without_support_is_null(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"f1/AU1": float("nan"), "f1/AU2": 0.5, "faces": 3, "who": "Jörg"})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "Jörg" in text
    assert json.loads(text) == {"f1/AU1": None, "f1/AU2": 0.5, "faces": 3, "who": "Jörg"}


def test_results_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    update_result(tmp_path, {"val/a": 1.0, "seconds": 3.0})
    update_result(tmp_path, {"test/a": 2.0, "seconds": 5.0})
    assert json.loads((tmp_path / "result.json").read_text()) == {"val/a": 1.0, "seconds": 5.0, "test/a": 2.0}


@pytest.mark.parametrize("content", [b'{"val/a": 1.0,', b"[1]", b"\xff\xfe"])
def test_a_result_that_cannot_be_read_is_named_and_kept(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(RunError, match=r"result\.json .*: delete it and test again") as caught:
        update_result(tmp_path, {"test/a": 1.0})
    assert "\n" not in str(caught.value)
    assert (tmp_path / "result.json").read_bytes() == content


def _fail(*_: Any, **__: Any) -> Never:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("broken", ["write_text", "replace"])
def test_a_write_that_fails_leaves_what_was_there(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "config.yaml", "old")
    with monkeypatch.context() as patched:
        patched.setattr(Path, broken, _fail)
        with pytest.raises(OSError, match="No space left"):
            write_text(tmp_path / "config.yaml", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    assert (tmp_path / "config.yaml").read_text() == "old"


def test_a_half_written_file_is_never_seen_under_its_name(tmp_path: Path) -> None:
    with whole_file(tmp_path / "face.png") as temporary:
        temporary.write_text("half")
        assert is_draft(temporary)
        assert not list(tmp_path.glob("*.png"))  # nobody takes it for a finished picture
        assert not (tmp_path / "face.png").exists()
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["face.png"]
    assert (tmp_path / "face.png").read_text() == "whole"


def test_versions_name_what_decides_a_result() -> None:
    found = versions()
    assert {"python", "torch", "lightning", "transformers", "peft", "machine", "cpus"} <= set(found)
    assert all(found.values())
