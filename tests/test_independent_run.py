"""The shipped ablation through the command line: fit, calibrate, test, predict, and what it cannot do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aullava.cli import main
from aullava.evaluation.calibration import read_calibration
from datamodules.drawn_faces.scene import draw_face
from tests.fakes import quick, written
from tests.source_tree import REPOSITORY

ABLATION = str(REPOSITORY / "experiments" / "ablation" / "independent.yaml")


def test_independent_answers_from_fit_to_predict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["model=tiny", *written(["bp4d", "disfa", "feafa"], tmp_path), *quick(tmp_path)]
    assert main(["fit", ABLATION, *words]) == 0
    run = tmp_path / "runs" / "independent" / "1"
    assert "bp4d" in read_calibration(run)
    assert main(["test", str(run)]) == 0
    fast = json.loads((run / "result.json").read_text())
    assert {key.split("/")[1] for key in fast if key.startswith("test/")} >= {"bp4d", "disfa", "feafa"}
    assert main(["test", str(run), "decoding.method=generate"]) == 0
    slow = json.loads((run / "result.json").read_text())
    assert fast.keys() == slow.keys()
    for key in (key for key in fast if key.startswith("test/") and fast[key] is not None):
        np.testing.assert_allclose(fast[key], slow[key], rtol=0, atol=1e-4, err_msg=key)
    face = tmp_path / "face.png"
    Image.fromarray(draw_face(0, 9, 1, 96)[0]).save(face)
    capsys.readouterr()
    assert main(["predict", str(run), str(face)]) == 0
    assert "AU12: " in capsys.readouterr().out
    assert main(["export", str(run), "--to", str(tmp_path / "folder")]) == 2
    assert "answers every Action Unit by itself" in capsys.readouterr().err
    assert not (tmp_path / "folder").exists()
