from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from aullava.models.adapters import add_lora
from aullava.models.errors import ModelError
from aullava.models.llm import load_llm, load_tokenizer
from tests.checkpoints import LAYERS, TARGETS, Backbone
from tests.text.helpers import byte_level_bpe


def test_the_llm_comes_frozen_in_the_dtype_and_attention_asked_for(backbone: Backbone) -> None:
    llm = load_llm(backbone.llm, "eager", torch.bfloat16)
    assert not any(tensor.requires_grad for tensor in llm.parameters())
    assert {tensor.dtype for tensor in llm.parameters()} == {torch.bfloat16}
    assert llm.config._attn_implementation == "eager"
    assert load_llm(backbone.llm).config._attn_implementation == "sdpa"


def test_an_attention_this_machine_cannot_run_is_refused(backbone: Backbone) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_llm(backbone.llm, "flash_attentoin")


def test_flash_attention_is_refused_where_it_is_not(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aullava.models.llm.is_flash_attn_2_available", lambda: False)
    with pytest.raises(ModelError, match=r"needs the package flash-attn and a GPU .*: write sdpa"):
        load_llm(backbone.llm, "flash_attention_2")


def test_lora_is_trainable_fp32_and_everything_else_frozen(backbone: Backbone) -> None:
    llm = add_lora(load_llm(backbone.llm, dtype=torch.bfloat16), 4, 8, 0.0, TARGETS)
    trainable = {name: tensor for name, tensor in llm.named_parameters() if tensor.requires_grad}
    assert len(trainable) == 2 * LAYERS * len(TARGETS)
    assert all("lora_A" in name or "lora_B" in name for name in trainable)
    assert {tensor.dtype for tensor in trainable.values()} == {torch.float32}
    assert {t.dtype for n, t in llm.named_parameters() if n not in trainable} == {torch.bfloat16}


def test_only_the_targets_are_adapted(backbone: Backbone) -> None:
    llm = add_lora(load_llm(backbone.llm), 4, 8, 0.0, ["q_proj", "mlp.down_proj"])
    adapted = {
        name.split(".lora_")[0].split(".")[-1] for name, _ in llm.named_parameters() if "lora_" in name
    }
    assert adapted == {"q_proj", "down_proj"}


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["q_proj", "qproj"], r"'qproj' matches no layer of the LlamaForCausalLM: did you mean 'q_proj'\?"),
        (["proj"], "'proj' matches no layer"),
        ([], r"adapter.targets is empty: name layers of the LlamaForCausalLM \(down_proj, gate_proj"),
        (["self_attn"], "LoRA cannot be added"),
    ],
)
def test_targets_that_cannot_be_adapted_are_refused(
    backbone: Backbone, targets: list[str], message: str
) -> None:
    llm = load_llm(backbone.llm)
    with pytest.raises(ModelError, match=message):
        add_lora(llm, 4, 8, 0.0, targets)
    assert not any("lora" in name for name, _ in llm.named_parameters())


def test_a_tokenizer_without_a_pad_token_pads_with_its_end(backbone: Backbone, tmp_path: Path) -> None:
    assert load_tokenizer(backbone.llm).pad_token == "<pad>"
    unpadded: Any = byte_level_bpe(eos_token="</s>")
    unpadded.save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).pad_token == "</s>"


def test_a_tokenizer_without_an_end_is_refused(tmp_path: Path) -> None:
    endless: Any = byte_level_bpe(pad_token="<pad>")
    endless.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has no end-of-sequence token"):
        load_tokenizer(str(tmp_path))
