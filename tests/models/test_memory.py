"""The memory of a step, told on the meta device, beside what a real step keeps."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig

from aullava.models.adapters import add_lora
from aullava.models.llm import load_llm
from aullava.models.memory import Adapter, Memory, Step, training_memory
from aullava.models.projector import build_projector
from aullava.models.shapes import config_of
from aullava.models.vision import load_vision
from aullava.models.vlm import FaceLanguageModel

ROWS, LENGTH, PLACES, ANSWER = 4, 200, 64, 60
GIB = 2**30


def meta_projector(dim_in: int, dim_out: int) -> torch.nn.Module:
    with torch.device("meta"):
        return build_projector("linear", dim_in, dim_out)


def real_step(adapter: Adapter, dtype: torch.dtype, mixed: bool, attention: str) -> dict[str, int]:
    """Bytes of a real step on the tiny model, as torch holds them."""
    vision, llm = load_vision("tiny", -2, dtype), load_llm("tiny", attention, dtype)
    adapted = add_lora(llm, adapter.r, adapter.alpha, adapter.dropout, adapter.targets, adapter.kind)
    model = FaceLanguageModel(vision, build_projector("linear", vision.dim, 128), adapted).train()
    ids = torch.randint(5, 2000, (ROWS, LENGTH))
    places = torch.zeros(ROWS, LENGTH, dtype=torch.bool)
    places[:, 10 : 10 + PLACES] = True
    labels = torch.full((ROWS, LENGTH), -100)
    labels[:, -ANSWER:] = ids[:, -ANSWER:]
    weights = {id(storage): storage for storage in (one.untyped_storage() for one in model.parameters())}
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in weights:
            kept[id(storage)] = storage
        return tensor

    pixels, mask = torch.randn(ROWS, 3, 96, 96), torch.ones_like(ids)
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad])
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        loss = model(pixels, ids, places, mask, labels).loss
    loss.backward()
    optimizer.step()
    trained = [one for one in model.parameters() if one.requires_grad]
    moments = chain.from_iterable(state.values() for state in optimizer.state.values())
    return {
        "tower": sum(one.nbytes for one in model.vision.parameters()),
        "frozen": sum(one.nbytes for one in model.llm.parameters() if not one.requires_grad),
        "trained": sum(one.nbytes for one in trained),
        "gradients": sum(one.grad.nbytes for one in trained if one.grad is not None),
        "moments": sum(one.nbytes for one in moments if one.ndim > 0),  # its count of steps is a scalar
        "activations": sum(storage.nbytes() for storage in kept.values()),
    }


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("dropout", [0.0, 0.05])
@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ["all-linear"]])
@pytest.mark.parametrize(("dtype", "mixed"), [(torch.float32, False), (torch.bfloat16, True)])
def test_it_is_within_a_tenth_of_a_real_step(
    dtype: torch.dtype, mixed: bool, targets: list[str], dropout: float, attention: str
) -> None:
    adapter = Adapter("lora", 8, 16, dropout, targets)
    real = real_step(adapter, dtype, mixed, attention)
    step = Step(ROWS, LENGTH, PLACES, ANSWER, mixed, checkpointing=False, eager=attention == "eager")
    config = load_llm("tiny").config
    told = training_memory(real["tower"], config, dtype, meta_projector(192, 128), adapter, step)
    for name in ("tower", "frozen", "trained", "gradients", "moments"):
        assert getattr(told, name) == real[name], name
    assert told.activations == pytest.approx(real["activations"], rel=0.1)
    assert told.total == pytest.approx(sum(real.values()), rel=0.1)


def seven_billion(checkpointing: bool = True) -> Memory:
    adapter = Adapter("lora", 8, 16, 0.05, ["q_proj", "v_proj"])
    step = Step(16, 900, 576, 100, mixed=True, checkpointing=checkpointing)
    config = config_of("lmsys/vicuna-7b-v1.5", "llm")
    return training_memory(0, config, torch.bfloat16, meta_projector(1024, 4096), adapter, step)


def test_seven_billion_weights_take_no_memory_to_count() -> None:
    told = seven_billion()
    assert told.frozen / GIB == pytest.approx(6_738_415_616 * 2 / GIB)
    assert told.trained == 4 * (32 * 2 * (4096 * 8 + 8 * 4096) + 1024 * 4096 + 4096)
    assert config_of("openai/clip-vit-large-patch14-336", "vision").num_hidden_layers == 24


def test_checkpointing_and_sharding_save_what_they_promise() -> None:
    kept, again = seven_billion(False), seven_billion(True)
    assert kept.activations > 5 * again.activations
    assert again.sharded(1) == again.total
    assert again.sharded(8) < again.total - 0.8 * again.frozen
    assert again.sharded(8) - again.activations > again.frozen / 8


def test_a_projector_alone_is_trained_without_an_adapter() -> None:
    config = LlamaConfig(hidden_size=64, intermediate_size=128, num_attention_heads=4, num_hidden_layers=6)
    step = Step(2, 50, 20, 10, mixed=False, checkpointing=False)
    none = Adapter("none", 1, 1, 0.0, [])
    told = training_memory(0, config, torch.float32, meta_projector(32, 64), none, step)
    assert told.trained == 4 * (32 * 64 + 64)
    assert told.activations > 0
