"""With the same weights, our forward is the one of transformers' LlavaForConditionalGeneration."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CLIPVisionModel, LlavaConfig, LlavaForConditionalGeneration

from aullava.models.llm import load_tokenizer
from aullava.models.vlm import FaceLanguageModel
from aullava.text.batch import AUBatch
from datamodules.action_units import Scale
from tests.checkpoints import WIDTH, Backbone, build_collator, build_model, faces


def as_llava(model: FaceLanguageModel, backbone: Backbone, kind: str, layers: Any, image_id: int) -> Any:
    """The same weights in transformers' model; after a linear projector its second layer is an identity."""
    vision = CLIPVisionModel.from_pretrained(backbone.vision)
    llm: Any = model.llm
    config = LlavaConfig(
        vision_config=vision.config,
        text_config=llm.config,
        image_token_index=image_id,
        projector_hidden_act="gelu" if kind == "mlp" else "linear",
        vision_feature_layer=layers,
    )
    llava: Any = LlavaForConditionalGeneration(config)
    llava.eval()
    llava.model.vision_tower.load_state_dict(vision.state_dict())
    llava.model.language_model.load_state_dict(llm.model.state_dict())
    llava.lm_head.load_state_dict(llm.lm_head.state_dict())
    projector = model.projector.state_dict()
    if kind == "linear":
        projector = {f"linear_1.{name}": tensor for name, tensor in projector.items()}
        projector |= {"linear_2.weight": torch.eye(WIDTH), "linear_2.bias": torch.zeros(WIDTH)}
    llava.model.multi_modal_projector.load_state_dict(projector)
    return llava


def mixed_batch(backbone: Backbone) -> AUBatch:
    """Rows of three formats and several lengths."""
    samples = [
        *faces(2, "AU1 AU2 AU4", Scale.PRESENCE),
        *faces(1, "AU12", Scale.LEVEL),
        *faces(1, "AU1 AU12L AU9", Scale.INTENSITY),
    ]
    return build_collator(backbone)(samples)


def left_padded(batch: AUBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ids, image places, attention mask and labels with each row's padding moved to the left."""

    def rolled(tensor: Tensor) -> Tensor:
        shifts = (batch.attention_mask == 0).sum(dim=1).tolist()
        return torch.stack([row.roll(shift) for row, shift in zip(tensor, shifts, strict=True)])

    return (
        rolled(batch.input_ids),
        rolled(batch.image_mask),
        rolled(batch.attention_mask),
        rolled(batch.labels),
    )


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(
    ("kind", "layers"),
    [("linear", -1), ("linear", -2), ("mlp", -1), ("mlp", -2), ("linear", [-2, -1]), ("mlp", [2, -2])],
)
def test_logits_and_loss_equal_llava(backbone: Backbone, kind: str, layers: Any, side: str) -> None:
    model = build_model(backbone, kind, layers, targets=())
    image_id: Any = load_tokenizer(backbone.llm).unk_token_id
    llava = as_llava(model, backbone, kind, layers, image_id)
    batch = mixed_batch(backbone)
    ids, places, mask, labels = batch.input_ids, batch.image_mask, batch.attention_mask, batch.labels
    if side == "left":
        ids, places, mask, labels = left_padded(batch)
    with torch.no_grad():
        theirs = llava(
            input_ids=ids.masked_fill(places, image_id),
            pixel_values=batch.pixel_values,
            attention_mask=mask,
            # What its own generate() gives for left padding; its forward alone would count the padding too.
            position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
            labels=labels,
        )
        ours = model(batch.pixel_values, ids, places, mask)
        supervised = model(batch.pixel_values, ids, places, mask, labels)
    real = mask.bool()
    assert theirs.logits[real].std() > 1
    torch.testing.assert_close(ours.logits[real], theirs.logits[real], rtol=0, atol=1e-5)
    torch.testing.assert_close(supervised.loss, theirs.loss, rtol=0, atol=1e-5)


@pytest.mark.parametrize("room", [None, 12, 40])
def test_greedy_answers_equal_llava(backbone: Backbone, room: int | None) -> None:
    model = build_model(backbone, targets=())
    image_id: Any = load_tokenizer(backbone.llm).unk_token_id
    llava = as_llava(model, backbone, "linear", -1, image_id)
    samples = [*faces(2, "AU1 AU2", Scale.LEVEL), *faces(2, "AU12 AU4 AU9", Scale.PRESENCE)]
    prompts = build_collator(backbone).prompts(samples)
    theirs = llava.generate(
        input_ids=prompts.input_ids.masked_fill(prompts.image_mask, image_id),
        pixel_values=prompts.pixel_values,
        attention_mask=prompts.attention_mask,
        do_sample=False,
        max_new_tokens=12,
        min_new_tokens=12,  # it then leaves the end token out, and so do we
    )[:, -12:]
    end = llava.config.text_config.eos_token_id
    with torch.no_grad():
        logits, state = model.prefill(
            prompts.pixel_values, prompts.input_ids, prompts.image_mask, prompts.attention_mask, room
        )
        ours = []
        for _ in range(12):
            logits[:, end] = -torch.inf
            ours.append(logits.argmax(dim=1, keepdim=True))
            logits = model.advance(ours[-1], state)
    assert torch.cat(ours, dim=1).tolist() == theirs.tolist()
    assert len({tuple(row) for row in theirs.tolist()}) == 4
