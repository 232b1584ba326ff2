"""One LLaVA checkpoint taken apart: its vision tower, its projector and its language model as ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, PreTrainedConfig, PreTrainedModel

from aullava.models.errors import ModelError
from aullava.models.folders import cast_weights, load_config, load_weights, model_folder
from aullava.models.llm import refuse_attention
from aullava.models.projector import build_projector
from aullava.models.vision import VisionEncoder, as_encoder, load_preprocessor
from aullava.models.vision_kinds import hidden_states, prefix_tokens, vision_config

NEEDED: Final = (
    ("config.json",),
    ("*.safetensors",),
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer.json", "tokenizer.model"),
)
"""Files of a LLaVA; of each group one is enough."""
_ACTIVATION: Final = {"mlp": "gelu", "linear": "linear"}
"""With which `projector_hidden_act` a LLaVA's projector is one of ours; a linear one stands as two layers."""


@dataclass(frozen=True, slots=True)
class LlavaParts:
    """What a LLaVA checkpoint holds.

    Attributes:
        vision: frozen, up to the feature layer.
        projector: in fp32; the checkpoint's own, or a fresh one.
        aligned: whether the projector is the checkpoint's own.
        llm: frozen, with its head.
    """

    vision: VisionEncoder
    projector: nn.Module
    aligned: bool
    llm: PreTrainedModel


def split_llava(
    name: str,
    layers: int | Sequence[int],
    tokens: str,
    projector_kind: str,
    attn_implementation: str = "sdpa",
    dtypes: tuple[torch.dtype, torch.dtype] = (torch.float32, torch.float32),
) -> LlavaParts:
    """Load a LlavaForConditionalGeneration and take it apart.

    Args:
        name: a local folder or a hub id, such as llava-hf/llava-1.5-7b-hf.
        layers: as for `load_vision`.
        tokens: as for `load_vision`.
        projector_kind: "mlp" takes over the checkpoint's projector, "linear" begins with a fresh one, unless
            the checkpoint's own is linear.
        attn_implementation: of the language model.
        dtypes: of the frozen weights of the vision tower and of the language model.

    Raises:
        MissingModelError: no such folder, or files missing in it.
        ModelError: another kind of model, or a projector that was made for other features or is of
            another kind.
    """
    refuse_attention(attn_implementation)
    folder = model_folder(name, "llava", NEEDED)
    config: Any = load_config(folder)
    if config.model_type != "llava":
        raise ModelError(
            f"{folder}/config.json describes a '{config.model_type}', but llm.init_from takes a 'llava' "
            "(LlavaForConditionalGeneration): name other models as llm.name and vision.name"
        )
    tower = vision_config(folder)
    takes_over = config.projector_hidden_act == _ACTIVATION.get(projector_kind)
    if takes_over:
        _same_features(config, tower, layers, tokens)
    elif projector_kind == "mlp":
        raise ModelError(
            f"the projector of {name} has the activation '{config.projector_hidden_act}', but that of "
            "projector.kind=mlp is 'gelu': write projector.kind=linear"
        )
    read = hidden_states(layers, tower)
    tower.num_hidden_layers = max(read)
    config.vision_config = tower
    llava: Any = load_weights(
        AutoModelForImageTextToText,
        folder,
        config=config,
        dtype="auto",  # as stored; each part is then given its own
        attn_implementation={"text_config": attn_implementation},
    )
    llava.requires_grad_(False)
    tower_model = cast_weights(llava.model.vision_tower, dtypes[0])
    vision = as_encoder(tower_model, load_preprocessor(name).size, tokens, read)
    llm = cast_weights(_language_model(llava), dtypes[1])
    projector = build_projector(projector_kind, vision.dim, llm.config.hidden_size)
    if takes_over:
        projector.load_state_dict(_as_ours(projector_kind, llava.model.multi_modal_projector.state_dict()))
    return LlavaParts(vision, projector, takes_over, llm)


def _same_features(config: Any, tower: PreTrainedConfig, layers: int | Sequence[int], tokens: str) -> None:
    """Refuse features that the checkpoint's projector has not learned to read."""
    theirs = config.vision_feature_layer
    if hidden_states(theirs, tower) != hidden_states(layers, tower):
        ours, needed = ([one] if isinstance(one, int) else list(one) for one in (layers, theirs))
        raise ModelError(
            f"vision.layers is {ours}, but the projector of the LLaVA reads {needed}: "
            f"write 'vision.layers={needed}'"
        )
    dropped = 1 if config.vision_feature_select_strategy == "default" else 0
    first = prefix_tokens(tower)
    if dropped != (first if tokens == "patches" else 0):
        fitting = [word for word, count in (("patches", first), ("all", 0)) if count == dropped]
        advice = f"write vision.tokens={fitting[0]}" if fitting else "this LLaVA cannot be taken over"
        raise ModelError(
            f"vision.tokens is '{tokens}', but the LLaVA drops {dropped} of the {first} tokens before the "
            f"patches (vision_feature_select_strategy '{config.vision_feature_select_strategy}'): {advice}"
        )


def _language_model(llava: Any) -> PreTrainedModel:
    """The language model with its head, around the weights that `llava` has already loaded."""
    auto: Any = AutoModelForCausalLM  # its from_config carries no types
    with torch.device("meta"):
        llm: Any = auto.from_config(llava.config.text_config)
    setattr(llm, llm.base_model_prefix, llava.model.language_model)
    llm.set_output_embeddings(llava.get_output_embeddings())
    if any(tensor.is_meta for tensor in chain(llm.parameters(), llm.buffers())):
        raise ModelError(
            f"the {type(llm).__name__} has weights that a LLaVA does not hold: "
            "name the language model as llm.name"
        )
    model: PreTrainedModel = llm.requires_grad_(False)
    return model


def _as_ours(kind: str, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a LLaVA's projector under our names, in fp32."""
    state = {name: tensor.float() for name, tensor in theirs.items()}
    for layer in ("linear_1", "linear_2"):
        # One without biases computes the same with biases of zero.
        state.setdefault(f"{layer}.bias", torch.zeros(len(state[f"{layer}.weight"])))
    if kind == "mlp":
        return state
    double = {name: tensor.double() for name, tensor in state.items()}
    second = double["linear_2.weight"]
    bias = second @ double["linear_1.bias"] + double["linear_2.bias"]
    return {"weight": (second @ double["linear_1.weight"]).float(), "bias": bias.float()}
