"""Every YAML that is shipped resolves through the real loader: a stale key or fragment cannot stay behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from aullava.config.command_line import GROUPS
from aullava.config.load import resolve
from aullava.vocabulary import vocabulary
from tests.source_tree import REPOSITORY

EXPERIMENTS = REPOSITORY / "experiments"
SHIPPED = sorted(EXPERIMENTS.rglob("*.yaml"))
# A fragment says only a part; it is resolved as a part of this one.
WHOLE = EXPERIMENTS / "demo.yaml"


def _words(path: Path) -> tuple[Path, list[str]]:
    """The experiment and overrides by which a user reaches a file: itself, or `group=NAME`."""
    group = path.parent.name
    if path.parent != EXPERIMENTS and group in GROUPS:
        return WHOLE, [f"{group}={path.stem}"]
    return (WHOLE, []) if path.stem == "base" else (path, [])


@pytest.mark.parametrize("path", SHIPPED, ids=[str(path.relative_to(EXPERIMENTS)) for path in SHIPPED])
def test_a_shipped_file_resolves_and_takes_part(path: Path) -> None:
    experiment, overrides = _words(path)
    resolved = resolve(experiment, overrides, vocabulary())
    assert path in resolved.files
    assert resolved.config.trainer.max_steps >= 1
    assert resolved.config.data.datasets


def test_experiments_are_shipped() -> None:
    assert {"base.yaml", "demo.yaml", "synthetic.yaml"} <= {path.name for path in SHIPPED}
