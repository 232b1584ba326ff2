"""Labels of tested people are read with the index and go no further: with others a fit learns the same."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from aullava.cli import main
from tests.data.folder.data import write
from tests.fakes import overrides, quick
from tests.source_tree import REPOSITORY

DEMO = str(REPOSITORY / "experiments/demo.yaml")


def _relabel(table: Path, people: set[str]) -> int:
    """Turn the levels of some people upside down; how many rows that were."""
    with table.open(newline="") as file:
        header, *rows = csv.reader(file)
    changed = [row for row in rows if row[1] in people]
    for row in changed:
        row[2:6] = [str(5 - int(cell)) if cell in set("012345") else cell for cell in row[2:6]]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return len(changed)


def _fitted(home: Path, people: set[str]) -> Path:
    settings = write(home / "faces")
    assert _relabel(home / "faces/labels.csv", people) == 4 * len(people)
    words = [DEMO, "data=folder", *overrides("folder", settings), *quick(home)]
    words += ["trainer.max_steps=3", "data.balance=rare", "data.datasets.folder.protocol=own_folds"]
    words += ["data.datasets.folder.options.present_from=2", "data.datasets.folder.faces.align=whole"]
    assert main(["fit", *words]) == 0
    return home / "runs/demo/1"


def _learned(run: Path) -> tuple[dict[str, bytes], dict[str, float]]:
    tensors = load_file(run / "checkpoints/last.safetensors")
    weights = {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}
    scores = json.loads((run / "result.json").read_text())
    return weights, {name: score for name, score in scores.items() if name != "seconds"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _fitted(tmp_path_factory.mktemp("plain"), set())


def test_other_labels_of_tested_people_change_nothing_that_is_learned(plain: Path, tmp_path: Path) -> None:
    """Start of the projector, sampler (balanced), loss and validation scores: all to the bit."""
    run = _fitted(tmp_path, {"P0", "P1", "P2", "P3"})  # the tested fold
    assert _learned(run) == _learned(plain)
    prints = [json.loads((one / "fingerprint.json").read_text())["data"] for one in (run, plain)]
    assert prints[0] != prints[1]  # the run's record tells the two apart


def test_other_labels_of_training_people_do(plain: Path, tmp_path: Path) -> None:
    """So the test above can fail."""
    run = _fitted(tmp_path, {"P4", "P5", "P6", "P7", "P8"})
    assert _learned(run)[0] != _learned(plain)[0]
