"""Two million rows: opened from the cache in little memory, and not copied into loader workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datamodules import index_cache
from datamodules.index import Index
from tests.source_tree import REPOSITORY

ROWS, PEOPLE, AUS = 2_000_000, 50, 24
MOST_MEGABYTES = 500

# What a start does with an index: open it, look who is there, deal the rows out, look some of them up.
OPEN = """
import json, sys
from pathlib import Path
from datamodules import index_cache

entry = index_cache.load(Path(sys.argv[1]), "key")
index = entry.index
people = index.people()
rows = index.rows_of(people[:40])
looked = [str(index.sample_ids[row]) for row in rows[:: len(rows) // 1000]]
status = Path("/proc/self/status").read_text()  # getrusage would start from the peak of the parent
peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
print(json.dumps([len(index), len(people), len(rows), len(looked), peak]))
"""

# A fork that reads rows all over the table: what it has alone is what it copied.
FORK = """
import json, os, sys
from datamodules.base import AUDataModule
from datamodules.loaders import FaceRows
from datamodules.action_units import FEAFA_AUS, Scale
from datamodules.options import DatasetSettings, LoaderSettings
from datamodules.protocols import people_folds
from datamodules import index_cache
from pathlib import Path
import numpy as np

class Large(AUDataModule):
    name, aus, scale, protocols = "large", FEAFA_AUS, Scale.LEVEL, ("folds",)
    def build_index(self): return index_cache.load(Path(sys.argv[1]), "key").index
    def load_image(self, place): return np.zeros((4, 4, 3), np.uint8)
    def protocol(self, name, subjects): return people_folds(name, 1, subjects, 5)
    def _whole_index(self): return self.build_index()

module = Large(DatasetSettings(), LoaderSettings())
rows = module.rows("train")
faces = FaceRows(module, list(rows) if sys.argv[2] == "list" else rows)

def own():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) // 1024

reading, writing = os.pipe()
if os.fork() == 0:
    before = own()
    for number in range(0, len(faces), 397):
        faces[number]
    os.write(writing, json.dumps([len(faces), own() - before]).encode())
    os._exit(0)
os.wait()
print(os.read(reading, 1000).decode())
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache entry of two million rows, about 600 MB."""
    numbers = np.arange(ROWS)
    people = np.array([f"P{person:03d}" for person in range(PEOPLE)], np.str_)[numbers * PEOPLE // ROWS]
    ids = np.char.add(np.char.add(people, "/"), np.char.zfill(numbers.astype("U7"), 7))
    labels = (numbers[:, None] * np.arange(1, AUS + 1) % 7 - 1).astype(np.float32)
    place = tmp_path_factory.mktemp("large") / "entry"
    codes = [f"AU{number}" for number in range(AUS)]
    index_cache.save(place, "key", Index(ids, people, np.char.add(ids, ".jpg"), labels, ids), codes, [])
    for file in place.iterdir():  # pages that wait to be written would count as the worker's own
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    return place


def _run(code: str, place: Path, *more: str) -> list[int]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code, str(place), *more]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    answer: list[int] = json.loads(ran.stdout)
    return answer


@pytest.mark.slow
def test_it_opens_in_little_memory(large: Path) -> None:
    rows, people, chosen, looked, megabytes = _run(OPEN, large)
    assert (rows, people, chosen) == (ROWS, PEOPLE, ROWS * 40 // PEOPLE)
    assert looked >= 1000
    assert sum(file.stat().st_size for file in large.iterdir()) > MOST_MEGABYTES * 2**20
    assert megabytes <= MOST_MEGABYTES


@pytest.mark.slow
def test_a_worker_does_not_copy_it(large: Path) -> None:
    faces, megabytes = _run(FORK, large, "rows")
    _, copied = _run(
        FORK, large, "list"
    )  # what it would be with Python's own numbers, whose counts are written
    assert faces > ROWS // 2
    assert megabytes <= 5 < copied
