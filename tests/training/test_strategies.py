"""Two processes learn what one learns from the same batches, whoever holds how many tokens."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy
from safetensors.torch import load_file

from aullava.config.schema import Config, LlmConfig, StrategyConfig, TrainerConfig
from aullava.training.checkpoint import read_weights
from aullava.training.errors import RunError
from aullava.training.run_folder import CHECKPOINTS
from aullava.training.snapshots import newest_snapshot
from aullava.training.strategies import build_strategy, refuse_machine
from aullava.training.whole import bytes_here
from tests.checkpoints import Backbone
from tests.training.learning import module_of, trainer_of
from tests.training.ranks import SCENARIOS, STEPS, batch_of, in_processes, train

Found = dict[str, dict[str, Any]]
TWO = [name for name, one in SCENARIOS.items() if one.strategy != "single"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, backbone: Backbone) -> Path:
    """A folder for all scenarios, with the models in it."""
    folder = tmp_path_factory.mktemp("ranks")
    shutil.copytree(backbone.vision, folder / "vision")
    shutil.copytree(backbone.llm, folder / "llm")
    return folder


@pytest.fixture(scope="module")
def one(work: Path) -> Found:
    """What one process learns; some of it begins where two have stopped."""
    names = [name for name, one in SCENARIOS.items() if one.strategy == "single" and one.begin is None]
    return {name: train(work, SCENARIOS[name]) for name in names}


@pytest.fixture(scope="module")
def two(work: Path, one: Found) -> Found:
    """What two processes learn."""
    return in_processes(work, TWO)


def _close(found: dict[str, Any], wanted: dict[str, Any], by: float = 1e-5) -> None:
    last = wanted["losses"][-len(found["losses"]) :]
    assert torch.allclose(torch.tensor(found["losses"]), torch.tensor(last), rtol=0, atol=by)


def test_the_processes_hold_different_numbers_of_tokens(backbone: Backbone) -> None:
    module = module_of(backbone, 1)
    tokens = [int((batch_of(module, 0, rank, 2).labels >= 0).sum()) for rank in range(2)]
    assert tokens[1] > 2 * tokens[0]


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", "fsdp"])
def test_losses_and_weights_are_those_of_one_process(strategy: str, one: Found, two: Found) -> None:
    assert len(two[strategy]["losses"]) == STEPS
    _close(two[strategy], one["single"])
    mine, wanted = two[strategy]["weights"], one["single"]["weights"]
    assert mine.keys() == wanted.keys()
    for name, values in wanted.items():
        assert torch.allclose(torch.tensor(mine[name]), torch.tensor(values), rtol=0, atol=2e-4), name


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_gradients_are_sent_around_once_a_step(strategy: str, one: Found, two: Found) -> None:
    _close(two[f"{strategy} accumulating"], one["single accumulating"])
    assert len(two[f"{strategy} accumulating"]["losses"]) == 2 * STEPS
    # In FSDP2 every block sends its own; a step of two batches sends no more than one of one batch.
    assert 0 < two[f"{strategy} accumulating"]["sent"] == two[strategy]["sent"]


def test_a_process_holds_half_of_the_weights(one: Found, two: Found, backbone: Backbone) -> None:
    whole = bytes_here(module_of(backbone, 1).model)
    assert two["ddp"]["bytes"] == one["single"]["bytes"] == whole
    assert two["fsdp2"]["bytes"] <= 0.55 * whole
    assert two["fsdp"]["bytes"] <= 0.55 * whole
    assert two["ddp"]["shared"] == 0


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", "fsdp"])
def test_a_run_in_the_same_number_of_processes_goes_on_exactly(strategy: str, two: Found) -> None:
    assert two[f"{strategy} goes on"]["losses"] == two[strategy]["losses"][10:]
    assert two[f"{strategy} goes on"]["weights"] == two[strategy]["weights"]


def test_what_each_process_wrote_for_itself_is_the_whole_and_goes_on_exactly(
    work: Path, one: Found, two: Found
) -> None:
    parts = sorted((work / "parts" / CHECKPOINTS).glob("step-*-part-*.safetensors"))
    assert len(parts) == 2
    sizes = [sum(tensor.numel() for tensor in load_file(path).values()) for path in parts]
    assert max(sizes) < 0.6 * sum(sizes)
    whole, together = (newest_snapshot(work / name) for name in ("two", "parts"))
    torch.testing.assert_close(together.weights, whole.weights, rtol=0, atol=0)
    torch.testing.assert_close(together.optimizer["state"], whole.optimizer["state"], rtol=0, atol=0)
    assert together.optimizer["param_groups"] == whole.optimizer["param_groups"]
    assert len(together.random) == 2
    last = read_weights(work / "parts")
    assert all(torch.equal(last[name], tensor) for name, tensor in whole.weights.items())
    assert two["fsdp2 goes on from parts"]["losses"] == two["fsdp2"]["losses"][10:]
    assert two["fsdp2 goes on from parts"]["weights"] == two["fsdp2"]["weights"]
    _close(train(work, SCENARIOS["single from parts"]), one["single"])


def test_what_two_have_saved_one_goes_on_from_and_the_reverse(work: Path, one: Found, two: Found) -> None:
    _close(two["fsdp2 from one"], one["single"])
    assert len(two["fsdp2 from one"]["losses"]) == 10
    _close(train(work, SCENARIOS["single from two"]), one["single"])
    _close(train(work, SCENARIOS["single from three"]), one["single"])


def test_bfloat16(one: Found, two: Found) -> None:
    _close(two["ddp mixed"], one["single"], by=0.05)
    _close(two["fsdp2 mixed"], one["single"], by=0.05)
    _close(two["fsdp2 bf16"], one["single bf16"], by=0.1)
    assert one["single bf16"]["bytes"] * 2 == one["single"]["bytes"]
    assert two["fsdp2 bf16"]["bytes"] * 2 == two["fsdp2"]["bytes"]


@pytest.mark.parametrize(
    ("trainer", "strategy", "said"),
    [
        ({"precision": "16-mixed"}, "ddp", "16-mixed needs a CUDA device: write bf16-mixed or 32-true"),
        ({"accelerator": "gpu"}, "ddp", "trainer.accelerator is gpu, but there is none here: write cpu"),
        ({"accelerator": "mps"}, "ddp", "trainer.accelerator is mps, but there is none here"),
        ({}, "fsdp", "strategy 'fsdp' needs GPUs, Lightning refuses it without: write strategy=fsdp2"),
    ],
)
def test_what_this_machine_has_not_is_refused(trainer: dict[str, Any], strategy: str, said: str) -> None:
    settings = TrainerConfig(max_steps=1, **trainer)
    with pytest.raises(RunError, match=said):
        refuse_machine(Config(trainer=settings, strategy=StrategyConfig(strategy, 2)))


def test_flex_attention_learns_where_torch_has_its_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(trainer=TrainerConfig(max_steps=1), llm=LlmConfig(attention="flex_attention"))
    monkeypatch.setattr("aullava.training.strategies.CUDAAccelerator.is_available", lambda: False)
    with pytest.raises(RunError, match=r"flex_attention learns on a CUDA device only, .*: write sdpa"):
        refuse_machine(config)
    monkeypatch.setattr("aullava.training.strategies.CUDAAccelerator.is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("aullava.training.strategies.find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"llm\.attention needs triton on a GPU"):
        refuse_machine(config)


def test_lightning_itself_refuses_fsdp_without_a_gpu(backbone: Backbone) -> None:
    strategy = build_strategy(StrategyConfig("fsdp", 2), module_of(backbone, 1).model)
    with pytest.raises(Exception, match="FSDP"):
        trainer_of(1, strategy=strategy, devices=2)


def test_the_older_engine_wraps_encoder_and_decoder_blocks(backbone: Backbone) -> None:
    strategy = build_strategy(StrategyConfig("fsdp", 2), module_of(backbone, 1).model)
    assert isinstance(strategy, FSDPStrategy)
    kinds = strategy.kwargs["auto_wrap_policy"]._module_classes
    assert {kind.__name__ for kind in kinds} == {"CLIPEncoderLayer", "LlamaDecoderLayer"}
    assert strategy.kwargs["use_orig_params"]
