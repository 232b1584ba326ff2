"""The vision encoders that can be read: CLIP, SigLIP and SigLIP 2, DINOv2, and MobileNetV2's feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from transformers import PreTrainedConfig

from aullava.models.errors import ModelError
from aullava.models.folders import load_config

ENCODERS: Final = ("clip_vision_model", "siglip_vision_model", "dinov2", "dinov2_with_registers")
"""Model types of transformers whose hidden states are read. SigLIP 2 of a fixed resolution is a SigLIP."""
GRIDS: Final = ("mobilenet_v2",)
"""Convolutional model types: the places of a feature map are the tokens."""
CONTAINERS: Final = ("clip", "siglip", "llava")
"""Model types whose checkpoints hold an encoder beside other parts; only the encoder is loaded."""
ANY_SIZE: Final = ("dinov2", "dinov2_with_registers")
"""Encoders that fit their positions to the image; the others take one size only."""


def vision_config(folder: Path) -> PreTrainedConfig:
    """The encoder's own config, taken out of the config of a larger model where it stands in one.

    Raises:
        ModelError: config.json cannot be read, or describes no encoder of `ENCODERS`.
    """
    config = load_config(folder)
    found: PreTrainedConfig = config.vision_config if config.model_type in CONTAINERS else config
    if found.model_type not in (*ENCODERS, *GRIDS):
        raise ModelError(
            f"{folder}/config.json describes a '{found.model_type}', which cannot serve as vision.name: "
            f"use a {' or '.join((*ENCODERS, *GRIDS))}, or a {' or '.join(CONTAINERS)} that holds one"
        )
    if found.model_type == "siglip_vision_model":
        found.vision_use_head = False  # the pooling head stands above every hidden state
    return found


def prefix_tokens(config: PreTrainedConfig) -> int:
    """How many tokens stand before the patches: the class token, and DINOv2's registers."""
    match config.model_type:
        case "siglip_vision_model":
            return 0
        case "dinov2_with_registers":
            return 1 + int(config.num_register_tokens)
        case _:
            return 1


def patches(config: PreTrainedConfig, size: int) -> int:
    """How many patches the encoder makes of a square image.

    Args:
        config: from `vision_config`.
        size: its side, as the checkpoint's image processor makes it.

    Raises:
        ModelError: the encoder cannot take images of this size.
    """
    patch, trained = config.patch_size, config.image_size
    if not isinstance(patch, int) or not isinstance(trained, int):
        raise ModelError(
            f"an encoder with images of {trained} in patches of {patch} is not square: take another"
        )
    if config.model_type in ANY_SIZE:
        if size % patch:
            raise ModelError(
                f"the image processor makes images of {size} pixels, which patches of {patch} do not fill: "
                f"set a multiple of {patch} in its preprocessor_config.json"
            )
    elif size != trained:
        raise ModelError(
            f"the image processor makes images of {size} pixels, but the encoder takes {trained}: "
            "its config.json and its preprocessor_config.json do not belong together"
        )
    return (size // patch) ** 2


def hidden_states(layers: int | Sequence[int], config: PreTrainedConfig) -> tuple[int, ...]:
    """The hidden states of one or several layers, counted from 1 (the first layer's output), as asked.

    Args:
        layers: as transformers counts hidden states; -1 is the last layer's output, -2 the one below.
        config: from `vision_config`.

    Raises:
        ModelError: none are named, the encoder has no such layer, or one stands twice.
    """
    count = int(config.num_hidden_layers)
    wanted = (layers,) if isinstance(layers, int) else tuple(layers)
    if not wanted:
        raise ModelError("vision.layers is empty: name at least one, such as [-2]")
    found = tuple(layer if layer > 0 else count + 1 + layer for layer in wanted)
    for layer, state in zip(wanted, found, strict=True):
        if not 1 <= state <= count or layer == 0:
            raise ModelError(
                f"vision.layers: {layer} is not a layer of an encoder with {count} layers: "
                f"give 1 to {count}, or -1 (the last) to -{count} (the first)"
            )
        if found.count(state) > 1:
            raise ModelError(f"vision.layers names layer {layer} twice: take one of the two out")
    return found
