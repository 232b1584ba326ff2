"""The exported folder, loaded by plain transformers, is the model that was trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlavaForConditionalGeneration

from aullava.export.errors import ExportError
from aullava.text.layout import Layout
from aullava.text.question import Order
from tests.export.helpers import Parts, exported
from tests.model_folders import sentencepiece_bpe, write_encoder, write_family
from tests.text.test_layout import CHATML

HALF = (torch.bfloat16, torch.float16)


def folders(home: Path, encoder: str = "clip", family: str = "llama", **parts: Any) -> Parts:
    write_encoder(encoder, home / "vision")
    write_family(family, home / "llm")
    return Parts(home / "vision", home / "llm", **parts)


@pytest.mark.parametrize("dtype", [torch.float32, *HALF])
@pytest.mark.parametrize("projector", ["linear", "mlp"])
def test_logits_are_bit_equal_and_answers_equal(projector: str, dtype: torch.dtype, tmp_path: Path) -> None:
    found = exported(folders(tmp_path, projector=projector), tmp_path / "out", dtype).found
    assert found.logits == 0
    assert found.agreed == found.answers == 9
    assert found.tuned is not None
    assert found.tuned > 1
    assert found.complaint() is None
    if dtype is torch.float32:
        assert found.merging <= 1e-4


@pytest.mark.parametrize("adapter", ["rslora", "dora", "none"])
def test_every_kind_of_adapter_is_merged(adapter: str, tmp_path: Path) -> None:
    found = exported(folders(tmp_path, adapter=adapter), tmp_path / "out").found
    assert (found.logits, found.agreed) == (0, 9)
    assert found.merging <= 1e-4
    assert (found.tuned is None) == (adapter == "none")


@pytest.mark.parametrize("encoder", ["siglip", "siglip whole", "clip whole", "dinov2"])
def test_every_encoder_that_a_llava_can_hold(encoder: str, tmp_path: Path) -> None:
    found = exported(folders(tmp_path, encoder), tmp_path / "out").found
    assert (found.logits, found.agreed) == (0, 9)


@pytest.mark.parametrize("family", ["mistral", "qwen2", "qwen3", "phi3"])
def test_every_family_with_a_plain_head(family: str, tmp_path: Path) -> None:
    found = exported(folders(tmp_path, family=family), tmp_path / "out").found
    assert (found.logits, found.agreed) == (0, 9)


def test_the_class_token_can_be_an_image_token(tmp_path: Path) -> None:
    found = exported(folders(tmp_path, tokens="all"), tmp_path / "out").found
    assert (found.logits, found.agreed) == (0, 9)


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("layout", Layout)
def test_the_template_writes_the_run_s_question(order: Order, layout: Layout, tmp_path: Path) -> None:
    """`exported` compares the ids of every question; here the frame and a long first id take part."""
    parts = folders(tmp_path)
    config = tmp_path / "llm" / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "chat_template": CHATML}))
    found = exported(parts, tmp_path / "out", count=1, order=order, layout=layout)
    assert found.found.agreed == 3
    kept = AutoTokenizer.from_pretrained(tmp_path / "llm").chat_template
    assert (tmp_path / "out" / "base_chat_template.jinja").read_text() == kept


@pytest.mark.parametrize("legacy", [True, False])
def test_a_sentencepiece_tokenizer_writes_no_blank_before_a_part(legacy: bool, tmp_path: Path) -> None:
    parts = folders(tmp_path)
    tokenizer: Any = sentencepiece_bpe(legacy)
    tokenizer.save_pretrained(tmp_path / "llm")
    out = exported(parts, tmp_path / "out", order=Order.IMAGE_FIRST, layout=Layout.LLAVA_V1)
    assert (out.found.logits, out.found.agreed) == (0, 9)
    again: Any = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert again.tokenize("AU") == ["AU"]
    assert tokenizer.tokenize("AU")[0][0] == "\u2581"


def test_the_image_token_is_never_written(tmp_path: Path) -> None:
    out = exported(folders(tmp_path), tmp_path / "out")
    row = load_file(tmp_path / "out" / "model.safetensors")["language_model.lm_head.weight"]
    assert out.written.image_id == len(row) - 1
    hidden = torch.randn(500, row.shape[1])
    assert not bool(((hidden @ row.T).argmax(1) == out.written.image_id).any())


def test_the_folder_is_a_standard_one(tmp_path: Path) -> None:
    exported(folders(tmp_path), tmp_path / "out")
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "processor_config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "questions.json",
    }
    assert len({path.stat().st_mode for path in (tmp_path / "out").iterdir()}) == 1  # read by the same people
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["architectures"] == ["LlavaForConditionalGeneration"]
    assert config["projector_hidden_act"] == "linear"
    assert "_name_or_path" not in json.dumps(config)
    model: Any = LlavaForConditionalGeneration.from_pretrained(tmp_path / "out")
    second = model.model.multi_modal_projector.linear_2
    assert torch.equal(second.weight, torch.eye(len(second.weight)))
    assert not second.bias.any()


@pytest.mark.parametrize(
    ("encoder", "family", "said"),
    [
        ("dinov2 registers", "llama", r"leaves out 5 tokens .*train with vision\.tokens=all"),
        ("clip", "phi", "the head of a PhiForCausalLM has a bias"),
    ],
)
def test_what_a_llava_has_no_place_for_is_refused(
    encoder: str, family: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=said):
        exported(folders(tmp_path, encoder, family), tmp_path / "out")


def test_a_merged_weight_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    from aullava.export.merge import merged
    from tests.export.helpers import build

    model = build(folders(tmp_path))
    with torch.no_grad():
        next(t for name, t in model.named_parameters() if "lora_B" in name).fill_(torch.inf)
    with pytest.raises(ExportError, match="the adapter cannot be merged"):
        merged(model, torch.float32)
