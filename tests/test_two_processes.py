"""Fits in two processes, as a user starts them: one folder, one voice, every face scored once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aullava.answer_records import kept_answers
from tests.fakes import quick, written
from tests.source_tree import REPOSITORY
from tests.tiny_runs import DATASETS, DEMO, POPULATION, TEST_FACES, contents, small

TWO = ("synthetic_bp4d", "synthetic_disfa")
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NAME": "train",
    "SLURM_STEP_ID": "0",
    "SLURM_NTASKS": "3",
    "SLURM_NTASKS_PER_NODE": "3",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NODELIST": "node[1-2]",
}
"""What srun tells the first of three processes."""


def _aullava(*words: str, code: int = 0, **environment: str) -> tuple[str, str]:
    """Run a command line of ours; what it said on stdout and on stderr."""
    place = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    command = [sys.executable, "-m", "aullava", *words]
    ran = subprocess.run(
        command, cwd=REPOSITORY, env=place, capture_output=True, text=True, timeout=600, check=False
    )
    assert ran.returncode == code, ran.stderr
    return ran.stdout, ran.stderr


def _result(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "result.json").read_text())
    return found


def _tested_once(scores: dict[str, Any], names: Sequence[str]) -> None:
    faces = POPULATION["test_people"] * TEST_FACES
    for name in names:
        supports = [value for key, value in scores.items() if key.startswith(f"test/{name}/support/")]
        assert supports
        assert set(supports) == {faces}


def test_two_processes_make_one_run(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(
        "extends: [base, data/synthetic_bp4d, data/synthetic_disfa, model/tiny]\nexperiment: demo\n"
    )
    words = [str(tmp_path / "two.yaml"), *small(tmp_path, 3, TWO), "strategy=ddp", "trainer.val_every=1"]
    words += [
        f"optim.{one}=2e-2" for one in ("lr_lora", "lr_projector")
    ]  # wild: the last step is not the best
    said, beside = _aullava("fit", *words)
    assert said.count("run: ") == said.count("parameters ") == 1
    assert beside.count("drawing faces: 100%") <= 1
    run = tmp_path / "runs" / "demo" / "1"
    assert [path.name for path in run.parent.iterdir()] == ["1"]
    names = {name for name in contents(run) if "/" not in name}
    records = {"config.yaml", "overrides.txt", "versions.json", "fingerprint.json"}
    assert names == records | {"result.json", "findings.json", "calibration.json"}
    assert len(list((run / "tensorboard").glob("events*"))) == 1
    assert _result(run)["val/synthetic_bp4d/support/AU12"] == 2  # one of the five people, two faces

    said, _ = _aullava("test", str(run))
    assert said.count("\nsynthetic_bp4d: ") == said.count(" scores in ") == 1
    assert said.count("\nlinear probe ") == 3  # F1 of either dataset, MAE of the levels
    _tested_once(_result(run), TWO)
    # One process scores the weights that two have trained and chosen, and comes to the same.
    before = _result(run)
    assert before["weights_step"] < 3
    one = ("strategy.name=single", "strategy.devices=1")
    alone, _ = _aullava("test", str(run), *one)
    assert alone == said
    assert _result(run) == before

    # And on a dataset that they never saw, which once hung.
    other = "data.datasets.synthetic_feafa"
    words = ["data=synthetic_feafa", f"{other}.root={tmp_path / 'faces'}", f"{other}.formats=[presence]"]
    words += [f"{other}.options.{key}={value}" for key, value in POPULATION.items()]
    said, _ = _aullava("test", str(run), *words)
    assert said.count("the run was trained on synthetic_bp4d, synthetic_disfa") == 1
    asked = {key.split("/")[1] for key in _result(run) if key.startswith("cross/")}
    assert asked == {"synthetic_feafa.presence"}
    assert len(kept_answers(run, "cross")["synthetic_feafa.presence"]) == TEST_FACES


@pytest.mark.slow
def test_the_demo_in_two_processes_says_everything_once(tmp_path: Path) -> None:
    """As `make demo` runs it."""
    said, _ = _aullava("demo", *small(tmp_path, 2), "data.batch_size=1", "strategy=ddp")
    for line in ("One model, trained on", "Testing it on people", "One face of a held-out", "done in"):
        assert said.count(line) == 1, line
    for name in DATASETS:
        assert said.count(f"\n{name}: ") == 1
    run = tmp_path / "runs" / "demo" / "1"
    assert (run / "demo" / "overlays" / "0001_face.png").is_file()
    _tested_once(_result(run), DATASETS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "strategy", "names"),
    [
        ("bp4d", "fsdp2", ["bp4d"]),
        ("unified", "ddp", ["bp4d", "disfa", "feafa"]),
    ],
)
def test_shipped_experiments_train_in_two_processes(
    experiment: str, strategy: str, names: list[str], tmp_path: Path
) -> None:
    words = [*written(names, tmp_path), *quick(tmp_path), "trainer.max_steps=3", "model=tiny"]
    path = str(REPOSITORY / "experiments" / f"{experiment}.yaml")
    _aullava("fit", path, *words, f"strategy={strategy}")
    run = tmp_path / "runs" / experiment / "1"
    asked = {key.split("/")[1] for key in _result(run) if key.startswith("val/")}
    assert {name.split(".")[0] for name in asked} == set(names)
    _aullava("test", str(run))
    assert any(key.startswith("test/") for key in _result(run))


def test_what_cannot_be_trained_is_said_once(tmp_path: Path) -> None:
    words = ["data=synthetic_bp4d", *small(tmp_path, 1, TWO[:1]), "strategy=ddp", "data.batch_size=6"]
    said, beside = _aullava("fit", DEMO, *words, code=2)
    assert said == ""
    assert [line for line in beside.splitlines() if "aullava" in line or "Error" in line] == [
        "aullava: dataset 'synthetic_bp4d' has 8 training faces, fewer than data.batch_size 6 in each of 2 "
        "processes: write at most data.batch_size=4"
    ]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("started", "said"),
    [
        ({"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "3"}, "processes started: 3, but strategy.devices x"),
        (SLURM, "processes started: 3, but strategy.devices x strategy.nodes is 2 x 1 = 2"),
    ],
)
def test_another_number_of_processes_than_the_config_says(
    started: dict[str, str], said: str, tmp_path: Path
) -> None:
    words = ["data=synthetic_bp4d", *small(tmp_path, 1, TWO[:1]), "strategy=ddp"]
    assert said in _aullava("fit", DEMO, *words, code=2, **started)[1]
