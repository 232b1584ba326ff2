"""Our parts put together as transformers' LlavaForConditionalGeneration."""

from __future__ import annotations

import copy
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, LlavaConfig, LlavaForConditionalGeneration

from aullava.export.errors import ExportError
from aullava.models.vlm import FaceLanguageModel

_STRATEGY: Final = {0: "full", 1: "default"}
"""Tokens before the patches that are dropped, in LLaVA's words."""
_BACKBONE: Final = ("stage_names", "out_features", "out_indices")
"""What DINOv2's config says of itself as a backbone: of all its layers, also those that were never built."""


def as_llava(model: FaceLanguageModel, image_id: int) -> Any:
    """The same weights in transformers' model; they are shared, not copied.

    A linear projector becomes `projector_hidden_act: linear` and a second layer that is the identity, which
    changes no bit of what the first one computes.

    Args:
        model: merged (`aullava.export.merge`), with a row for `image_id` in its embeddings.
        image_id: the token that holds the image's places.

    Raises:
        ExportError: the model has a part that this architecture does not have.
    """
    llm: Any = model.llm
    head = llm.get_output_embeddings()
    if getattr(head, "bias", None) is not None:
        raise ExportError(
            f"the head of a {type(llm).__name__} has a bias, for which a LlavaForConditionalGeneration has "
            "no place: only the run itself can be used"
        )
    llava: Any
    with torch.device("meta"):
        llava = LlavaForConditionalGeneration(_config(model, image_id))
    weight = next(model.projector.parameters())
    llava.model.vision_tower = model.vision.model
    llava.model.language_model = getattr(llm, llm.base_model_prefix)
    llava.lm_head = head
    projector = llava.model.multi_modal_projector.to_empty(device=weight.device).to(weight.dtype)
    projector.load_state_dict(_projector(model.projector))
    generation: Any = GenerationConfig  # its constructor carries no types
    llava.generation_config = generation(do_sample=False)
    return llava.eval().requires_grad_(False)


def dropped(model: FaceLanguageModel) -> str:
    """LLaVA's word for the tokens before the patches that are left out.

    Raises:
        ExportError: it can leave out one or none, and this encoder needs another number.
    """
    count = model.vision.prefix_tokens
    if count not in _STRATEGY:
        raise ExportError(
            f"the encoder leaves out {count} tokens before its patches (class and registers), but a LLaVA "
            "can leave out one or none: train with vision.tokens=all to export"
        )
    return _STRATEGY[count]


def _config(model: FaceLanguageModel, image_id: int) -> Any:
    vision: dict[str, Any] = model.vision.model.config.to_dict()
    for name in _BACKBONE:
        vision.pop(name, None)
    llm: Any = model.llm
    text = copy.deepcopy(llm.config)
    text.vocab_size = llm.get_input_embeddings().weight.shape[0]
    build: Any = LlavaConfig
    return build(
        vision_config=vision,
        text_config=text,
        image_token_index=image_id,
        image_seq_length=model.vision.num_tokens,
        projector_hidden_act="linear" if isinstance(model.projector, nn.Linear) else "gelu",
        # Counted from the first layer: what stands above the last one that is read was never built.
        vision_feature_layer=list(layers) if len(layers := model.vision.layers) > 1 else -1,
        vision_feature_select_strategy=dropped(model),
        tie_word_embeddings=bool(text.tie_word_embeddings),
    )


def _projector(ours: nn.Module) -> dict[str, Tensor]:
    state = ours.state_dict()
    if not isinstance(ours, nn.Linear):
        return state  # named as LLaVA's
    width, like = ours.out_features, ours.weight
    return {
        "linear_1.weight": state["weight"],
        "linear_1.bias": state["bias"],
        "linear_2.weight": torch.eye(width, dtype=like.dtype, device=like.device),
        "linear_2.bias": torch.zeros(width, dtype=like.dtype, device=like.device),
    }
