"""The main job at full size, once: what `make demo` gives, and that the model looks at the picture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aullava.blind import run_blind
from tests.source_tree import REPOSITORY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one demo run, in two processes of one thread, as `make demo` runs it."""
    home = tmp_path_factory.mktemp("demo")
    words = [f"data.datasets.synthetic_{name}.root={home / 'faces'}" for name in ("bp4d", "disfa", "feafa")]
    words += [f"runs_dir={home / 'runs'}", "strategy=ddp", "data.batch_size=16", "trainer.accelerator=cpu"]
    command = [sys.executable, "-m", "aullava", "demo", *words]
    place = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    ran = subprocess.run(command, env=place, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return home / "runs" / "demo" / "1"


@pytest.fixture(scope="module")
def result(run: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((run / "result.json").read_text())
    return found


def test_it_reads_faces_as_well_as_a_demo_shall(result: dict[str, float]) -> None:
    probe = result["baseline/linear_probe/synthetic_bp4d/f1_macro"]
    assert result["test/synthetic_bp4d/f1_macro"] >= max(0.75, probe - 0.02)
    assert result["test/synthetic_disfa/f1_macro"] >= 0.70
    assert result["test/synthetic_feafa/pcc_macro"] >= 0.70
    assert result["test/synthetic_feafa/mae_macro"] <= (
        0.70 * result["baseline/always_zero/synthetic_feafa/mae_macro"]
    )


def test_better_than_any_constant_answer(result: dict[str, float]) -> None:
    for name in ("bp4d", "disfa"):
        floor = result[f"baseline/always_present/synthetic_{name}/f1_macro"]
        assert result[f"test/synthetic_{name}/f1_macro"] > floor
    assert result["test/synthetic_disfa/pcc_macro"] > 0.2


def test_probabilities_are_true_and_thresholds_of_other_people_cost_nothing(result: dict[str, float]) -> None:
    assert result["test/synthetic_bp4d/ece_macro"] <= 0.05
    raw = result["test/synthetic_bp4d/f1_macro"]
    assert result["test/synthetic_bp4d/thresholded_f1_macro"] >= raw - 0.005


def test_run_folder_is_complete(run: Path) -> None:
    for name in ("config.yaml", "overrides.txt", "versions.json", "fingerprint.json"):
        assert (run / name).is_file(), name
    assert (run / "checkpoints" / "last.safetensors").is_file()
    assert (run / "calibration.json").is_file()
    assert list((run / "tensorboard").glob("events.*"))
    assert (run / "demo" / "overlays" / "0001_face.png").is_file()


def test_it_looks_at_the_picture(run: Path, result: dict[str, float]) -> None:
    """With the pictures dealt out anew among the test rows, the scores fall to the constant answers'."""
    told = run_blind(run, ("strategy.name=single", "strategy.devices=1"))
    assert "own pictures" in told
    blind = json.loads((run / "result.json").read_text())

    floor = result["baseline/always_present/synthetic_bp4d/f1_macro"]
    assert blind["blind/synthetic_bp4d/f1_macro"] <= floor + 0.05
    assert blind["blind/synthetic_disfa/f1_macro"] <= (
        result["baseline/always_present/synthetic_disfa/f1_macro"] + 0.05
    )
    assert abs(blind["blind/synthetic_feafa/pcc_macro"]) <= 0.10
    assert blind["blind/synthetic_feafa/mae_macro"] >= (
        0.95 * result["baseline/always_zero/synthetic_feafa/mae_macro"]
    )
