"""Under which licence the weights of a base model come: as its own folder says, or as its publisher does."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from aullava.models.errors import ModelError
from aullava.models.folders import model_folder

OURS: Final = "apache-2.0"
UNKNOWN: Final = "unknown"
"""Neither the folder nor our table says it: to be looked up before the weights are given to anybody."""

PUBLISHED: Final = {
    "openai/clip-vit-large-patch14-336": "mit",  # LICENSE of github.com/openai/CLIP
    "openai/clip-vit-large-patch14": "mit",
    "lmsys/vicuna-7b-v1.5": "llama2",  # Llama 2 Community License, as its model card says
    "llava-hf/llava-1.5-7b-hf": "llama2",
    "facebook/dinov2-large": "apache-2.0",
    "google/siglip-so400m-patch14-384": "apache-2.0",
    "HuggingFaceTB/SmolLM2-135M-Instruct": "apache-2.0",
}
"""Of models that the shipped experiments name; hub id -> the hub's word for the licence."""


def licence_of(name: str, part: str) -> str:
    """The hub's word for the licence of a base model, such as "apache-2.0", or `UNKNOWN`.

    Args:
        name: as in the configuration.
        part: a key of `aullava.models.folders.KEYS`.
    """
    if name == "tiny":
        return OURS
    try:
        card = model_folder(name, part, ()) / "README.md"
    except ModelError:
        card = Path()
    said = _front_matter(card).get("license") if card.is_file() else None
    return str(said) if said else PUBLISHED.get(name.partition("@")[0], UNKNOWN)


def _front_matter(card: Path) -> dict[str, object]:
    """The YAML between the two lines of dashes at the top of a model card."""
    text = card.read_text(encoding="utf-8", errors="replace")
    if not text.startswith("---\n"):
        return {}
    try:
        read = yaml.safe_load(text[4:].partition("\n---")[0])
    except yaml.YAMLError:
        return {}
    return read if isinstance(read, dict) else {}
