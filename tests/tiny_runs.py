"""Runs of a few steps on a handful of drawn people, through the real command line and the shipped model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.source_tree import REPOSITORY

DEMO = str(REPOSITORY / "experiments" / "demo.yaml")
DATASETS = ("synthetic_bp4d", "synthetic_disfa", "synthetic_feafa")
TEST_PEOPLE, TEST_FACES = 1, 3
POPULATION = {
    "train_people": 5,
    "test_people": TEST_PEOPLE,
    "faces_per_person": 2,
    "test_faces_per_person": TEST_FACES,
}


def small(home: Path, steps: int = 3, datasets: Sequence[str] = DATASETS) -> list[str]:
    """Overrides of an experiment for a run below `home`.

    Args:
        home: gets `runs` and `faces`.
        steps: optimiser steps.
        datasets: those of the experiment.
    """
    words = [f"runs_dir={home / 'runs'}", f"trainer.max_steps={steps}", "trainer.log_every=1"]
    words += ["data.batch_size=2", "trainer.accelerator=cpu"]
    for name in datasets:
        words.append(f"data.datasets.{name}.root={home / 'faces'}")
        words += [f"data.datasets.{name}.options.{key}={value}" for key, value in POPULATION.items()]
    return words


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
