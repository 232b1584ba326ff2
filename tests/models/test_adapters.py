"""LoRA, rank-stabilised LoRA and DoRA: their formulas, and what is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from aullava.models import quantization
from aullava.models.adapters import ADAPTERS, add_lora
from aullava.models.errors import CheckpointMismatchError, ModelError
from aullava.models.llm import load_llm
from tests.checkpoints import LAYERS, WIDTH, Backbone, build_model

Q = "model.layers.0.self_attn.q_proj"


def adapted_weight(w: Tensor, a: Tensor, b: Tensor, kind: str, r: int, alpha: int) -> Tensor:
    """The layer's weight with its update, as the papers write it."""
    scale = alpha / r**0.5 if kind == "rslora" else alpha / r
    updated: Tensor = w + (b @ a) * scale
    if kind != "dora":
        return updated
    lengths = [torch.linalg.vector_norm(one, dim=1, keepdim=True) for one in (w, updated)]
    normed: Tensor = updated * (lengths[0] / lengths[1])
    return normed


@pytest.mark.parametrize("kind", ADAPTERS)
def test_each_kind_computes_its_paper_s_formula(backbone: Backbone, kind: str) -> None:
    llm = add_lora(load_llm(backbone.llm), 4, 8, 0.0, ["q_proj"], kind).eval()
    layer = dict(llm.named_modules())[f"base_model.model.{Q}"]
    weights = dict(layer.named_parameters())
    a, b = weights["lora_A.default.weight"], weights["lora_B.default.weight"]
    x = torch.randn(3, WIDTH)
    with torch.no_grad():
        assert torch.allclose(layer(x), x @ weights["base_layer.weight"].T, atol=1e-6)  # it begins as nothing
        b.normal_(std=0.3)
        wanted = adapted_weight(weights["base_layer.weight"], a, b, kind, 4, 8)
        torch.testing.assert_close(layer(x), x @ wanted.T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ADAPTERS)
def test_what_is_trained_is_fp32_on_a_half_precision_model(backbone: Backbone, kind: str) -> None:
    llm = add_lora(load_llm(backbone.llm, dtype=torch.bfloat16), 4, 8, 0.0, ["q_proj", "up_proj"], kind)
    trained = {name: tensor for name, tensor in llm.named_parameters() if tensor.requires_grad}
    assert len(trained) == 2 * LAYERS * (3 if kind == "dora" else 2)
    assert {tensor.dtype for tensor in trained.values()} == {torch.float32}
    assert all("lora_" in name for name in trained)


def test_all_linear_is_every_layer_but_the_head(backbone: Backbone) -> None:
    llm = add_lora(load_llm(backbone.llm), 4, 8, 0.0, ["all-linear"])
    adapted = {name.split(".lora_")[0] for name, _ in llm.named_parameters() if "lora_" in name}
    assert len(adapted) == 7 * LAYERS
    assert not any("lm_head" in name for name in adapted)


def test_another_kind_is_refused(backbone: Backbone) -> None:
    with pytest.raises(ModelError, match=r"unknown adapter\.kind 'loar': did you mean 'lora'\?"):
        add_lora(load_llm(backbone.llm), 4, 8, 0.0, ["q_proj"], "loar")


def test_four_bits_are_refused_where_they_cannot_be(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"needs bitsandbytes: pip install 'aullava\[qlora\]'"):
        load_llm(backbone.llm, quantization="nf4")
    monkeypatch.setattr(quantization, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="needs a CUDA device, and this machine has none: write none"):
        load_llm(backbone.llm, quantization="nf4")
    with pytest.raises(ModelError, match=r"unknown llm\.quantization 'int3'"):
        load_llm(backbone.llm, quantization="int3")


def test_a_second_stage_begins_with_the_first_one_s_projector(backbone: Backbone) -> None:
    first, second = build_model(backbone, targets=()), build_model(backbone)
    fresh = {name: tensor.clone() for name, tensor in second.trainable_state_dict().items()}
    second.begin_with(first.trainable_state_dict())
    after = second.trainable_state_dict()
    assert second.aligned
    for name, tensor in first.trainable_state_dict().items():
        assert torch.equal(after[name], tensor)
    assert all(torch.equal(after[name], fresh[name]) for name in after if name.startswith("llm."))


@pytest.mark.parametrize(
    ("drop", "said"), [("lora_B", "lacks"), ("projector.bias", "lacks 1 tensors of the model")]
)
def test_half_a_stage_is_refused(backbone: Backbone, drop: str, said: str, tmp_path: Path) -> None:
    state = {n: t.clone() for n, t in build_model(backbone).trainable_state_dict().items() if drop not in n}
    model = build_model(backbone)
    before = {name: tensor.clone() for name, tensor in model.trainable_state_dict().items()}
    with pytest.raises(CheckpointMismatchError, match=said):
        model.begin_with(state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.trainable_state_dict().items())
    assert not model.aligned


def test_an_adapter_cannot_go_on_as_none(backbone: Backbone) -> None:
    with pytest.raises(CheckpointMismatchError, match="that the model does not train"):
        build_model(backbone, targets=()).begin_with(build_model(backbone).trainable_state_dict())
