from __future__ import annotations

import logging
import os
import random
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aullava.training.checkpoint import WEIGHTS, read_weights, save_weights
from aullava.training.errors import PreemptedError, RunError
from aullava.training.random_state import random_state, set_random_state
from aullava.training.shards import write_part
from aullava.training.snapshots import Snapshot, newest_snapshot, remove_drafts, write_snapshot
from aullava.training.stop_signals import StopSignals


def _snapshot(step: int) -> Snapshot:
    weights = {"a": torch.full((3, 4), float(step))}
    state: dict[str, Any] = {"state": {0: {"step": torch.tensor(float(step))}}, "param_groups": [{"lr": 0.1}]}
    turns = {"batch": step, "credit": [0.25], "taken": [step]}
    return Snapshot(step, 1, 4, 1.5, {"seed": 0}, "abc", weights, state, {}, {}, turns, [random_state()])


def test_a_snapshot_comes_back_as_it_was(tmp_path: Path) -> None:
    write_snapshot(_snapshot(7), tmp_path)
    found = newest_snapshot(tmp_path)
    assert torch.equal(found.weights["a"], torch.full((3, 4), 7.0))
    assert (found.step, found.sampler["credit"], found.optimizer["param_groups"]) == (
        7,
        [0.25],
        [{"lr": 0.1}],
    )


def test_random_generators_go_on_where_they_were(tmp_path: Path) -> None:
    def drawn() -> tuple[Any, ...]:
        return random.random(), float(np.random.rand()), torch.rand(3).tolist()  # noqa: NPY002

    drawn()
    write_snapshot(_snapshot(1), tmp_path)
    wanted = drawn()
    set_random_state(newest_snapshot(tmp_path).random[0])
    assert drawn() == wanted


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    paths = [write_snapshot(_snapshot(step), tmp_path) for step in (8, 9, 10, 100)]
    assert sorted((tmp_path / "checkpoints").iterdir()) == sorted(paths[-2:])
    assert newest_snapshot(tmp_path).step == 100


@pytest.mark.parametrize("harm", ["half", "one bit", "empty", "more"])
def test_a_damaged_file_is_named_and_the_one_before_is_used(
    harm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_snapshot(_snapshot(1), tmp_path)
    path = write_snapshot(_snapshot(2), tmp_path)
    content = path.read_bytes()
    flipped = bytes([content[len(content) // 2] ^ 1])
    path.write_bytes(
        {
            "half": content[: len(content) // 2],
            "one bit": content[: len(content) // 2] + flipped + content[len(content) // 2 + 1 :],
            "empty": b"",
            "more": content + b"x",
        }[harm]
    )
    with caplog.at_level(logging.WARNING):
        assert newest_snapshot(tmp_path).step == 1
    assert f"{path} is damaged or written in part: the checkpoint before it is used" in caplog.text


def _in_parts(step: int, run: Path) -> list[Path]:
    """A checkpoint of two processes; its parts."""
    whole = _snapshot(step)
    names = [
        write_part({"weight.a": rows, "moment.0.exp_avg": rows + 1}, run, step, rank, 2)
        for rank, rows in enumerate(torch.split(whole.weights["a"], [2, 1]))
    ]
    bare = replace(whole, weights={}, optimizer={**whole.optimizer, "state": {}})
    return [write_snapshot(bare, run, names).parent / name for name in names]


def test_parts_come_back_as_one(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        _in_parts(step, tmp_path)
    found, wanted = newest_snapshot(tmp_path), _snapshot(3)
    assert torch.equal(found.weights["a"], wanted.weights["a"])
    assert torch.equal(found.optimizer["state"][0]["exp_avg"], wanted.weights["a"] + 1)
    assert found.optimizer["param_groups"] == wanted.optimizer["param_groups"]
    kept = [path.name[:13] for path in sorted((tmp_path / "checkpoints").iterdir())]
    assert kept == 3 * ["step-00000002"] + 3 * ["step-00000003"]


@pytest.mark.parametrize("harm", ["half", "one bit", "missing"])
def test_a_damaged_part_is_named_and_the_checkpoint_before_is_used(
    harm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _in_parts(1, tmp_path)
    part = _in_parts(2, tmp_path)[1]
    content = part.read_bytes()
    part.write_bytes(content[:-1] + (b"" if harm == "half" else bytes([content[-1] ^ 1])))
    if harm == "missing":
        part.unlink()
    with caplog.at_level(logging.WARNING):
        assert newest_snapshot(tmp_path).step == 1
    assert f"{part} is damaged or written in part: the checkpoint before it is used" in caplog.text


def test_parts_without_a_snapshot_are_never_read_and_removed(tmp_path: Path) -> None:
    _in_parts(1, tmp_path)
    lost = tmp_path / "checkpoints" / write_part({"weight.a": torch.zeros(1)}, tmp_path, 2, 0, 2)
    assert newest_snapshot(tmp_path).step == 1
    remove_drafts(tmp_path)
    assert not lost.exists()
    assert newest_snapshot(tmp_path).step == 1


def test_parts_on_the_disk_of_another_machine_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"needs a runs_dir that all machines share.*checkpoint=whole"):
        write_snapshot(_snapshot(1), tmp_path, ["step-00000001-part-2-of-2-0123456789abcdef.safetensors"])
    assert not list(tmp_path.rglob("*.ckpt"))


def test_without_a_whole_file_nothing_is_made_up(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no checkpoint to go on from"):
        newest_snapshot(tmp_path)
    write_snapshot(_snapshot(1), tmp_path).write_bytes(b"")
    with pytest.raises(RunError, match=r"no checkpoint of .* is whole: restore one"):
        newest_snapshot(tmp_path)


@pytest.mark.parametrize("broken", ["save", "sync", "rename"])
def test_a_save_that_fails_keeps_the_one_before(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write_snapshot(_snapshot(1), tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    where = {"save": (torch, "save"), "sync": (os, "fsync"), "rename": (Path, "replace")}[broken]
    monkeypatch.setattr(*where, full)
    with pytest.raises(RunError, match=r"No space left on device.*make room there.*aullava resume"):
        write_snapshot(_snapshot(2), tmp_path)
    assert list((tmp_path / "checkpoints").iterdir()) == [before]
    assert newest_snapshot(tmp_path).step == 1


def test_what_a_killed_save_left_is_never_read_and_removed(tmp_path: Path) -> None:
    path = write_snapshot(_snapshot(1), tmp_path)
    draft = path.parent / "step-00000002.123.tmp"
    draft.write_bytes(path.read_bytes()[:100])
    assert newest_snapshot(tmp_path).step == 1
    remove_drafts(tmp_path)
    assert list(path.parent.iterdir()) == [path]


def test_a_file_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(state: dict[str, Any], path: Path) -> None:
        path.write_bytes(b"")
        save({"step": 1}, path)

    save = torch.save
    monkeypatch.setattr(torch, "save", other)
    write_snapshot(_snapshot(1), tmp_path)
    with pytest.raises(RunError, match="written by another version"):
        newest_snapshot(tmp_path)


def test_a_signal_during_the_save_corrupts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signals, sync = StopSignals(), os.fsync

    def signalled(handle: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGUSR1)
        sync(handle)

    before = signal.getsignal(signal.SIGTERM)
    signals.watch()
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        monkeypatch.setattr(os, "fsync", signalled)
        write_snapshot(replace(_snapshot(3), seconds=2.0), tmp_path)
    finally:
        signals.leave()
    assert signals.received == "SIGUSR1"  # the first one
    assert newest_snapshot(tmp_path).seconds == 2.0
    assert signal.getsignal(signal.SIGTERM) == before
    assert PreemptedError.exit_code == 143


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    """Have the system refuse to write more into a file, as it does when a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_is_named_and_what_was_saved_stays(tmp_path: Path) -> None:
    small, large = {"a": torch.zeros(10)}, {"a": torch.zeros(100_000)}
    before = write_snapshot(replace(_snapshot(1), weights=small), tmp_path)
    save_weights(small, tmp_path)
    with _files_of_at_most(50_000):
        with pytest.raises(RunError, match=r"no checkpoint can be written into .*checkpoints .*make room"):
            write_snapshot(replace(_snapshot(2), weights=large), tmp_path)
        with pytest.raises(RunError, match=r"no weights can be written into .*checkpoints .*make room"):
            save_weights(large, tmp_path)
        with pytest.raises(RunError, match=r"no checkpoint can be written into .*checkpoints .*make room"):
            write_part(large, tmp_path, 2, 0, 1)
    assert sorted(before.parent.iterdir()) == sorted([before, tmp_path / WEIGHTS])
    assert newest_snapshot(tmp_path).step == 1
    assert torch.equal(read_weights(tmp_path)["a"], small["a"])
