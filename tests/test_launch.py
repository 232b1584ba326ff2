"""Processes that are started together end together, and one of them says why."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aullava.config.schema import StrategyConfig
from aullava.launch import needed
from tests.source_tree import REPOSITORY

MAIN = """
import os, signal, sys, time
sys.path.insert(0, {repository!r})
from aullava import launch

if launch.needed({strategy}):
    sys.exit(launch.run_processes(2, sys.argv[1:]))
launch.end_with_parent()
rank = int(os.environ["RANK"])
def note(text):
    launch.leave_note(text)
{body}
"""


def _run(body: str, tmp_path: Path) -> tuple[int, str, float]:
    """The exit code, what was said, and the seconds of a job of two processes that do this."""
    script = tmp_path / "job.py"
    strategy = "__import__('aullava.config.schema').config.schema.StrategyConfig('ddp', 2)"
    script.write_text(MAIN.format(repository=str(REPOSITORY), strategy=strategy, body=body))
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, str(script), "word"], capture_output=True, text=True, timeout=100, check=False
    )
    return ran.returncode, ran.stderr, time.monotonic() - began


def test_all_is_well(tmp_path: Path) -> None:
    code, said, _ = _run("assert sys.argv[1:] == ['word'] and os.environ['WORLD_SIZE'] == '2'", tmp_path)
    assert (code, said) == (0, "")


def test_the_processes_share_the_cores_or_do_as_they_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "assert os.environ['OMP_NUM_THREADS'] == {!r}, os.environ['OMP_NUM_THREADS']"
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert _run(body.format(str(share)), tmp_path)[:2] == (0, "")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert _run(body.format("1"), tmp_path)[:2] == (0, "")
    many = str(len(os.sched_getaffinity(0)) + 1)  # more than the cores, however many these are
    monkeypatch.setenv("OMP_NUM_THREADS", many)
    code, said, _ = _run(body.format(many), tmp_path)
    assert code == 0
    assert said.startswith(f"aullava: OMP_NUM_THREADS={many} in each of 2 processes is more than the ")


def test_the_first_that_fails_is_heard_and_the_rest_is_ended(tmp_path: Path) -> None:
    body = "if rank == 1: note('it was me'); sys.exit(2)\ntime.sleep(0.3); note('lost you'); time.sleep(90)"
    code, said, seconds = _run(body, tmp_path)
    assert (code, said) == (2, "it was me\n")
    assert seconds < 60


def test_a_killed_process_is_named_whatever_the_others_say(tmp_path: Path) -> None:
    body = "if rank == 1: time.sleep(0.5); os.kill(os.getpid(), signal.SIGKILL)\n"
    code, said, _ = _run(body + "time.sleep(1.5); note('lost you'); sys.exit(1)", tmp_path)
    assert code == 1
    assert said.startswith("aullava: process 1 of 2 was ended by SIGKILL (was there enough memory?)")
    assert "lost you" not in said


def test_all_that_were_stopped_are_waited_for(tmp_path: Path) -> None:
    body = "time.sleep(rank * 8); note('all is saved'); sys.exit(143)"  # longer than others get
    assert _run(body, tmp_path)[:2] == (143, "all is saved\n")


def test_every_process_that_got_nowhere_is_heard(tmp_path: Path) -> None:
    body = "time.sleep(rank); launch.say_at_last(f'stuck {rank}'); sys.exit(1)"
    assert _run(body, tmp_path)[:2] == (1, "stuck 0\nstuck 1\n")


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    body = f"open({str(tmp_path)!r} + f'/{{rank}}', 'w').write(str(os.getpid())); time.sleep(90)"
    script = tmp_path / "job.py"
    strategy = "__import__('aullava.config.schema').config.schema.StrategyConfig('ddp', 2)"
    script.write_text(MAIN.format(repository=str(REPOSITORY), strategy=strategy, body=body))
    job = subprocess.Popen([sys.executable, str(script), "word"])
    files = [tmp_path / "0", tmp_path / "1"]
    while not all(file.exists() and file.read_text() for file in files):
        time.sleep(0.02)
    job.kill()
    job.wait()
    until = time.monotonic() + 30
    while any(_alive(int(file.read_text())) for file in files):
        assert time.monotonic() < until
        time.sleep(0.05)


def _alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("devices", "nodes", "place", "wanted"),
    [
        (2, 1, {}, True),
        (1, 1, {}, False),
        (2, 2, {}, False),
        (2, 1, {"RANK": "0"}, False),
        (2, 1, {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "2"}, False),
        (2, 1, {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "1"}, True),
    ],
)
def test_who_starts_processes(
    devices: int, nodes: int, place: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "SLURM_STEP_ID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    assert needed(StrategyConfig("ddp", devices, nodes)) == wanted
    assert "RANK" not in os.environ or place
