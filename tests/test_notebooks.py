"""The notebooks run from top to bottom, and are stored without what they once printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.source_tree import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def _cells(path: Path, kind: str) -> list[dict[str, Any]]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def _source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_the_lessons_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["01_data", "02_train", "03_results", "04_add_a_dataset"]


@each
def test_nothing_that_was_printed_is_stored(path: Path) -> None:
    for cell in _cells(path, "code"):
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
        compile(_source(cell), path.name, "exec")  # plain Python: no shell lines, no magic


@each
def test_the_first_cell_says_what_it_is_about(path: Path) -> None:
    assert _source(_cells(path, "markdown")[0]).startswith("# ")


@pytest.mark.slow
@each
def test_it_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    script = "\n\n".join(map(_source, _cells(path, "code")))
    command = [sys.executable, "-c", script]  # no file, as in a notebook: a pool would run it again
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
