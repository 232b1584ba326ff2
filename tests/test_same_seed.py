"""The same seed on the same machine: the same losses, the same weights, the same answers, twice."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from datamodules.drawn_faces.scene import draw_face
from tests.source_tree import REPOSITORY
from tests.tiny_runs import DEMO, small

pytestmark = pytest.mark.slow

STEPS = 6


@dataclass(frozen=True)
class Outcome:
    """What a run gave."""

    losses: tuple[float, ...]
    weights: dict[str, Tensor]
    answers: str
    scores: str


def _aullava(*words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "aullava", *words]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _outcome(home: Path, seed: int) -> Outcome:
    """A fit, a test and a prediction, each in a process of its own."""
    _aullava("fit", DEMO, *small(home, STEPS), f"seed={seed}", "adapter.dropout=0.1")
    run = home / "runs" / "demo" / "1"
    Image.fromarray(draw_face(0, 9, 1, 96)[0]).save(home / "face.png")
    os.chdir(home)
    _aullava("predict", str(run), "face.png", "--out", str(home))
    scores = _aullava("test", str(run)).splitlines()
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return Outcome(
        losses=tuple(event.value for event in events.Scalars("train/loss")),
        weights=load_file(run / "checkpoints" / "last.safetensors"),
        answers=(home / "predictions.csv").read_text(),
        scores="\n".join(line for line in scores if line.startswith(("test/", "baseline/"))),
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """Of seed 0 twice, and of seed 1."""
    here = Path.cwd()
    found = [_outcome(tmp_path_factory.mktemp("seed"), seed) for seed in (0, 0, 1)]
    os.chdir(here)
    return found


def test_the_same_seed_gives_the_same_losses(outcomes: list[Outcome]) -> None:
    first, again, other = outcomes
    assert len(first.losses) == STEPS
    assert first.losses == again.losses
    assert first.losses != other.losses


def test_the_same_seed_gives_the_same_weights(outcomes: list[Outcome]) -> None:
    first, again, other = outcomes
    assert first.weights.keys() == again.weights.keys()
    assert [name for name in first.weights if not first.weights[name].equal(again.weights[name])] == []
    assert [name for name in first.weights if first.weights[name].equal(other.weights[name])] == []


def test_the_same_seed_gives_the_same_answers_and_scores(outcomes: list[Outcome]) -> None:
    first, again, other = outcomes
    assert first.answers == again.answers
    assert first.answers != other.answers  # the probabilities at least
    assert first.scores == again.scores
