"""A LLaVA checkpoint taken apart computes what it computed as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aullava.models.adapters import add_lora
from aullava.models.errors import MissingModelError, ModelError
from aullava.models.llava import split_llava
from aullava.models.llm import load_tokenizer
from aullava.models.vision import load_preprocessor
from aullava.models.vlm import FaceLanguageModel
from tests.checkpoints import IMAGE, IMAGE_TOKENS, WIDTH
from tests.model_folders import DEPTH, write_family, write_llava

LENGTHS = (40, 31, 24, 52)


def mixed_rows(image_id: int, side: str) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, attention mask and labels of rows of several lengths, the image somewhere in each."""
    width, rows = max(LENGTHS), len(LENGTHS)
    ids = torch.randint(5, 60, (rows, width))
    mask = torch.zeros(rows, width, dtype=torch.int64)
    labels = torch.full((rows, width), -100)
    for row, length in enumerate(LENGTHS):
        first = width - length if side == "left" else 0
        mask[row, first : first + length] = 1
        ids[row, first + row + 1 : first + row + 1 + IMAGE_TOKENS] = image_id
        labels[row, first + length - 5 : first + length] = ids[row, first + length - 5 : first + length]
    return ids, mask, labels


def compare(llava: Any, model: FaceLanguageModel, side: str) -> None:
    """Logits and loss of both on the same rows."""
    image_id = llava.config.image_token_id
    ids, mask, labels = mixed_rows(image_id, side)
    pixels = torch.randn(len(LENGTHS), 3, IMAGE, IMAGE)
    places = (ids == image_id) & mask.bool()
    with torch.no_grad():
        theirs = llava(
            input_ids=ids,
            pixel_values=pixels,
            attention_mask=mask,
            position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
            labels=labels,
        )
        logits = model(pixels, ids, places, mask).logits
        loss = model(pixels, ids, places, mask, labels).loss
    real = mask.bool()
    assert theirs.logits[real].std() > 1
    torch.testing.assert_close(logits[real], theirs.logits[real], rtol=0, atol=1e-5)
    torch.testing.assert_close(loss, theirs.loss, rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", ["mlp", "linear"])
@pytest.mark.parametrize(("tower", "layer"), [("clip", -2), ("clip", -1), ("siglip", -2), ("siglip", -1)])
def test_the_parts_together_equal_the_whole(
    tower: str, layer: int, kind: str, side: str, tmp_path: Path
) -> None:
    llava = write_llava(tmp_path, tower, "gelu" if kind == "mlp" else "linear", layer)
    parts = split_llava(str(tmp_path), layer, "patches", kind)
    assert parts.aligned
    compare(llava, FaceLanguageModel(parts.vision, parts.projector, parts.llm).eval(), side)


@pytest.mark.parametrize("tower", ["clip", "siglip"])
def test_greedy_answers_equal_the_whole(tower: str, tmp_path: Path) -> None:
    llava = write_llava(tmp_path, tower)
    parts = split_llava(str(tmp_path), -2, "patches", "mlp")
    model = FaceLanguageModel(parts.vision, parts.projector, parts.llm).eval()
    image_id, end = llava.config.image_token_id, llava.config.text_config.eos_token_id
    ids, mask, _ = mixed_rows(image_id, "left")
    pixels = torch.randn(len(LENGTHS), 3, IMAGE, IMAGE)
    theirs = llava.generate(
        input_ids=ids,
        pixel_values=pixels,
        attention_mask=mask,
        do_sample=False,
        max_new_tokens=8,
        min_new_tokens=8,
    )[:, -8:]
    ours = []
    with torch.no_grad():
        logits, state = model.prefill(pixels, ids, (ids == image_id) & mask.bool(), mask, 8)
        for _ in range(8):
            logits[:, end] = -torch.inf
            ours.append(logits.argmax(dim=1, keepdim=True))
            logits = model.advance(ours[-1], state)
    assert torch.cat(ours, dim=1).tolist() == theirs.tolist()


def test_the_class_token_can_be_an_image_token(tmp_path: Path) -> None:
    write_llava(tmp_path, "clip")
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"vision_feature_select_strategy": "full"}))
    assert split_llava(str(tmp_path), -2, "all", "mlp").vision.num_tokens == IMAGE_TOKENS + 1
    with pytest.raises(ModelError, match=r"LLaVA drops 0 of the 1 tokens.*write vision\.tokens=all"):
        split_llava(str(tmp_path), -2, "patches", "mlp")


def test_the_paper_s_projector_begins_afresh(tmp_path: Path) -> None:
    write_llava(tmp_path, "clip")
    parts = split_llava(str(tmp_path), -1, "patches", "linear")
    assert not parts.aligned
    assert isinstance(parts.projector, nn.Linear)
    assert parts.projector.weight.requires_grad


def test_a_projector_without_biases_is_taken_over(tmp_path: Path) -> None:
    llava = write_llava(tmp_path, "clip", multimodal_projector_bias=False)
    parts = split_llava(str(tmp_path), -2, "patches", "mlp")
    features = torch.randn(3, WIDTH)
    with torch.no_grad():
        wanted = llava.model.multi_modal_projector(features)
    torch.testing.assert_close(parts.projector(features), wanted, rtol=0, atol=1e-6)


def test_the_layers_above_the_features_are_not_kept(tmp_path: Path) -> None:
    write_llava(tmp_path, "siglip")
    names = split_llava(str(tmp_path), -2, "patches", "mlp").vision.state_dict()
    assert {name.split("layers.")[1][0] for name in names if "layers." in name} == set("01")
    assert DEPTH == 3


def test_lora_wraps_the_language_model_alone(tmp_path: Path) -> None:
    write_llava(tmp_path)
    parts = split_llava(str(tmp_path), -2, "patches", "mlp")
    adapted = add_lora(parts.llm, 4, 8, 0.0, ["all-linear"])
    model = FaceLanguageModel(parts.vision, parts.projector, adapted)
    trained = model.trainable_state_dict()
    assert {name.split(".")[0] for name in trained} == {"llm", "projector"}
    assert sum("lora_A" in name for name in trained) == 7 * DEPTH
    assert {tensor.dtype for tensor in trained.values()} == {torch.float32}


def test_each_part_has_the_dtype_asked_for(tmp_path: Path) -> None:
    write_llava(tmp_path)
    dtypes = (torch.float32, torch.bfloat16)
    parts = split_llava(str(tmp_path), -2, "patches", "mlp", "eager", dtypes)
    assert {tensor.dtype for tensor in parts.vision.parameters()} == {torch.float32}
    assert {tensor.dtype for tensor in parts.projector.parameters()} == {torch.float32}
    assert {tensor.dtype for tensor in parts.llm.parameters()} == {torch.bfloat16}
    assert parts.llm.config._attn_implementation == "eager"


def test_tokenizer_and_processor_come_from_the_same_folder(tmp_path: Path) -> None:
    write_llava(tmp_path)
    assert load_tokenizer(str(tmp_path)).eos_token == "</s>"
    assert load_preprocessor(str(tmp_path)).size == IMAGE


@pytest.mark.parametrize(
    ("changes", "kind", "layer", "said"),
    [
        ({}, "mlp", -1, r"vision\.layers is \[-1\], but the projector of the LLaVA reads \[-2\]: write"),
        ({"vision_feature_layer": [-2, -1]}, "mlp", -2, r"\[-2\], but the projector .* reads \[-2, -1\]"),
        ({"projector_hidden_act": "relu"}, "mlp", -2, r"'relu', but that of projector\.kind=mlp is 'gelu'"),
        ({}, "linear", -9, r"vision\.layers: -9 is not a layer"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    changes: dict[str, Any], kind: str, layer: int, said: str, tmp_path: Path
) -> None:
    write_llava(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ModelError, match=said):
        split_llava(str(tmp_path), layer, "patches", kind)


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    write_family("llama", tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"describes a 'llama', but llm\.init_from takes a 'llava'"):
        split_llava(str(tmp_path), -2, "patches", "mlp")
    with pytest.raises(MissingModelError, match=r"llm\.init_from is '/no/such/llava'"):
        split_llava("/no/such/llava", -2, "patches", "mlp")
