"""A projector trained alone, then with LoRA, through the command line; and a run that starts from a LLaVA."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aullava.cli import main
from aullava.training.checkpoint import WEIGHTS
from tests.model_folders import write_llava
from tests.tiny_runs import DEMO, small

ONE = "synthetic_bp4d"


def fit(home: Path, *words: str) -> int:
    return main(["fit", DEMO, "data=synthetic_bp4d", *small(home, 1, [ONE]), "trainer.val_samples=1", *words])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds a first stage as runs/demo/1."""
    path = tmp_path_factory.mktemp("stages")
    assert fit(path, "adapter.kind=none") == 0
    return path


def test_the_first_stage_trains_the_projector_alone(home: Path) -> None:
    state = load_file(home / "runs" / "demo" / "1" / WEIGHTS)
    assert set(state) == {"projector.weight", "projector.bias"}


def test_the_second_stage_begins_where_the_first_ended(home: Path) -> None:
    first = home / "runs" / "demo" / "1"
    still = ["optim.lr_projector=0", "llm.gradient_checkpointing=true", "adapter.kind=dora"]
    assert fit(home, f"init_from_run={first}", "experiment=second", *still) == 0
    before, after = load_file(first / WEIGHTS), load_file(home / "runs" / "second" / "1" / WEIGHTS)
    assert all(torch.equal(after[name], before[name]) for name in before)
    learned = [name for name in after if "lora_B" in name]
    assert len(learned) > 0
    assert all(bool(after[name].any()) for name in learned)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vision.layers=[-1]"], "vision.layers is [-1], but the weights of"),
        (["projector.kind=mlp"], "projector.kind is mlp, but the weights of"),
        (["init_from_run=/no/such/run"], "init_from_run is /no/such/run, but it holds no config.yaml"),
        (["adapter.targets=[nowhere]"], "'nowhere' matches no layer"),
        (["llm.init_from=/a/llava", "llm.name=/b"], "llm.name is '/b', but llm.init_from brings its own"),
        (["llm.quantization=nf4"], "llm.quantization=nf4 needs "),
        (["llm.quantization=nf4", "llm.init_from=/a/llava"], "llm.quantization goes with llm.name"),
    ],
)
def test_stages_that_do_not_fit_are_refused(
    home: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = home / "runs" / "demo" / "1"
    assert fit(home, f"init_from_run={first}", "experiment=refused", *words) == 2
    assert said in capsys.readouterr().err
    assert not (home / "runs" / "refused").exists()


def test_a_run_can_start_from_a_llava(home: Path, tmp_path: Path) -> None:
    write_llava(tmp_path / "llava")
    words = ["vision.layers=[-2]", "projector.kind=mlp", "optim.lr_projector=0", "llm.dtype=bfloat16"]
    words += ["text.definitions=false", "experiment=llava", f"llm.init_from={tmp_path / 'llava'}"]
    assert fit(home, *words) == 0
    run = home / "runs" / "llava" / "1"
    state, theirs = load_file(run / WEIGHTS), load_file(tmp_path / "llava" / "model.safetensors")
    for name in ("linear_1.weight", "linear_2.bias"):
        assert torch.equal(state[f"projector.{name}"], theirs[f"multi_modal_projector.{name}"])
    assert main(["validate", str(run)]) == 0
