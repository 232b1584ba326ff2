"""A loader process outlives a SIGTERM for a while, and no longer."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.source_tree import REPOSITORY

# A process that forgets a loader process at its end: Python terminates and joins it.
FORGETS = """
import multiprocessing, os, signal, sys, time
from datamodules import workers
workers.GRACE = 1
def work(pipe):
    workers.leave_signals_to_the_trainer(0)
    pipe.send("ready")
    time.sleep(600)
here, there = multiprocessing.Pipe()
child = multiprocessing.get_context("fork").Process(target=work, args=(there,), daemon=True)
child.start()
here.recv()
if sys.argv[1] == "signal":
    os.kill(child.pid, signal.SIGUSR1)
    os.kill(child.pid, signal.SIGTERM)
    time.sleep(0.3)
    print(child.is_alive())
"""


@pytest.mark.parametrize(("how", "said"), [("exit", ""), ("signal", "True")])
def test_a_forgotten_loader_process_does_not_hold_up_the_exit(how: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORGETS, how],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, said, "")
