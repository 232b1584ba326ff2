"""Configs of the models that the shipped recipes name, so that their memory is known before they are here."""

from __future__ import annotations

from typing import Any, Final

from transformers import CLIPVisionConfig, LlamaConfig

from aullava.models.errors import MissingModelError
from aullava.models.folders import load_config, model_folder
from aullava.models.vision_kinds import vision_config

# As in their config.json on the hub.
_CLIP_L: Final = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "projection_dim": 768,
}
_VICUNA_7B: Final = {"max_position_embeddings": 4096, "rms_norm_eps": 1e-5}  # LlamaConfig's own sizes
_CONFIG: Final = (("config.json",),)


def config_of(name: str, part: str, key: str | None = None) -> Any:
    """The config of a model, as its folder has it or as the hub does.

    Args:
        name: as in the configuration.
        part: "vision" or "llm"; of a LLaVA that part is taken out.
        key: what `name` is in the configuration, a key of `KEYS`; None: `part`.

    Raises:
        MissingModelError: it is not here, and none of those that are known.
        ModelError: it is of an unknown type.
    """
    try:
        folder = model_folder(name, key or part, _CONFIG)
        if part == "vision":
            return vision_config(folder)
        found: Any = load_config(folder)
        return found.text_config if found.model_type == "llava" else found
    except MissingModelError:
        match name.partition("@")[0]:
            case "openai/clip-vit-large-patch14-336":
                return CLIPVisionConfig(**_CLIP_L)  # type: ignore[arg-type]  # a mapping of ints
            case "lmsys/vicuna-7b-v1.5":
                return LlamaConfig(**_VICUNA_7B)  # type: ignore[arg-type]
        raise
