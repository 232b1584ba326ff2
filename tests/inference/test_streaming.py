"""A long video: memory stays flat, a kill leaves rows, and going on completes them."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aullava.cli import main
from tests.inference.test_predict import table, write_video
from tests.tiny_runs import DEMO, small

FRAMES = 10_000
MEASURE = """
import resource, sys
from pathlib import Path
from aullava.inference import table
from aullava.cli import main

write, seen = table.TableFile.write, []

def counting(self, cells):
    write(self, cells)
    seen.append(None)
    if len(seen) in (500, {frames}):
        kept = [line for line in open("/proc/self/status") if line.startswith("VmRSS")]
        print("RSS", kept[0].split()[1], flush=True)

table.TableFile.write = counting
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("stream")
    words = [*small(home, 2, ["synthetic_bp4d"]), "data=synthetic_bp4d", "trainer.val_samples=1"]
    words.append("data.datasets.synthetic_bp4d.aus=[AU1, AU12]")  # a short question: frames are what counts
    assert main(["fit", DEMO, *words]) == 0
    return home / "runs" / "demo" / "1"


@pytest.mark.slow
def test_ten_thousand_frames_in_flat_memory(run: Path, tmp_path: Path) -> None:
    video = tmp_path / "long.avi"
    write_video(video, FRAMES)
    words = ["predict", str(run), str(video), "--out", str(tmp_path / "out")]
    command = [sys.executable, "-c", MEASURE.format(frames=FRAMES), *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    first, last = (int(line.split()[1]) for line in ran.stdout.splitlines() if line.startswith("RSS"))
    assert last - first <= 50 * 1024  # KiB
    assert len(table(tmp_path / "out")) == FRAMES


@pytest.mark.slow
def test_a_kill_leaves_rows_and_resume_completes_them(run: Path, tmp_path: Path) -> None:
    video, out = tmp_path / "clip.avi", tmp_path / "out"
    write_video(video, 400)
    words = ["predict", str(run), str(video), "--batch-size", "4", "--out"]
    command = [sys.executable, "-m", "aullava", *words, str(out)]
    path = out / "predictions.csv"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not path.is_file() or path.read_bytes().count(b"\n") < 30:
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    left = path.read_bytes()
    assert 30 <= left.count(b"\n") < 401
    assert main([*words, str(out), "--resume"]) == 0
    assert path.read_bytes().startswith(left[: left.rfind(b"\n") + 1])
    assert [row["frame"] for row in table(out)] == [str(number) for number in range(400)]
    with path.open(newline="", encoding="utf-8") as file:
        assert len({len(row) for row in csv.reader(file)}) == 1
