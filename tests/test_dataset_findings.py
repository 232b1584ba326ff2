"""A run says what its datasets lack, and keeps the whole list in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aullava.cli import main
from tests.datamodules.helpers import small
from tests.fakes import overrides, quick
from tests.source_tree import REPOSITORY

DEMO = str(REPOSITORY / "experiments/demo.yaml")


def _kept(run: Path) -> list[dict[str, Any]]:
    kept: dict[str, list[dict[str, Any]]] = json.loads((run / "findings.json").read_text())
    assert list(kept) == ["folder"]
    return kept["folder"]


def test_missing_pictures_and_faces_are_said_and_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pictures are noise, so no face is found in any: loader processes note it."""
    settings = small("folder", tmp_path / "faces")
    (tmp_path / "faces/person 1/2.png").unlink()
    words = [DEMO, "data=folder", *overrides("folder", settings), *quick(tmp_path)]
    words += ["data.num_workers=1", "data.datasets.folder.faces.align=box"]
    assert main(["fit", *words]) == 0
    run = tmp_path / "runs/demo/1"
    said = capsys.readouterr().err
    assert "warning: dataset 'folder': 1 x missing-image, the first: " in said
    assert f"x middle-shown (listed in {run / 'findings.json'}): no face is found in 'person " in said
    found = _kept(run)
    assert [one["kind"] for one in found if "/person 1/2.png" in one["where"]] == ["missing-image"]
    missed = [one["where"] for one in found if one["kind"] == "middle-shown"]
    assert len(missed) == len(set(missed)) >= 3
    assert main(["test", str(run)]) == 0
    assert [one for one in _kept(run) if one in found] == found  # the fit's stay
    assert len(_kept(run)) > len(found)
