"""A LoRA folder of PEFT, made for the language model of a LLaVA, read as ours."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from aullava.export.errors import ExportError

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
# transformers 5 names the layers model.language_model.layers, 4 language_model.model.layers.
_LAYER: Final = re.compile(
    r"base_model\.model\.(?:model\.language_model|language_model\.model)\.(?P<layer>.+)"
    r"\.(?P<part>lora_A|lora_B|lora_magnitude_vector)(?:\.weight)?"
)
_UNREAD: Final = ("rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication")


@dataclass(frozen=True, slots=True)
class Adapter:
    """What a folder holds.

    Attributes:
        kind: "lora", "rslora" or "dora".
        r: rank.
        alpha: scale.
        dropout: in training.
        targets: the ends of the names of its layers.
        state: tensors by their names in `FaceLanguageModel`.
    """

    kind: str
    r: int
    alpha: int
    dropout: float
    targets: tuple[str, ...]
    state: dict[str, Tensor]


def read_adapter(folder: Path, base: Path) -> Adapter:
    """Read an adapter that was trained on a LLaVA.

    Args:
        folder: with adapter_config.json and adapter_model.safetensors.
        base: the folder of the LLaVA that it is to be put on.

    Raises:
        ExportError: a file is missing or damaged, it is no LoRA, it is for another base, or it changes more
            than the linear layers of the language model.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ExportError(f"{folder} has no {name}: give the folder of a PEFT adapter")
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
    except (ValueError, SafetensorError) as error:
        raise ExportError(f"{folder} cannot be read: {error}") from error
    _refuse_another_base(config, folder, base)
    if config.get("peft_type") != "LORA":
        raise ExportError(f"{folder} holds a {config.get('peft_type')} adapter, but only LORA is read")
    beyond = [name for name in _UNREAD if config.get(name)]
    if beyond or config.get("bias", "none") != "none":
        raise ExportError(f"{folder} sets {', '.join(beyond or ['bias'])}, which no adapter.* key here says")
    kind = "dora" if config.get("use_dora") else "rslora" if config.get("use_rslora") else "lora"
    state = {_ours(name, folder): tensor.float() for name, tensor in tensors.items()}
    return Adapter(
        kind=kind,
        r=int(config["r"]),
        alpha=int(config["lora_alpha"]),
        dropout=float(config.get("lora_dropout", 0.0)),
        targets=tuple(sorted({name.split(".lora_")[0].rsplit(".", 1)[-1] for name in state})),
        state=state,
    )


def _refuse_another_base(config: dict[str, Any], folder: Path, base: Path) -> None:
    """Refuse weights that were trained around others, also where the shapes would fit."""
    trained_on = str(config.get("base_model_name_or_path") or "")
    name = trained_on.rstrip("/").rpartition("/")[2].partition("@")[0].lower()
    if not name or not any(name in part.lower() for part in base.resolve().parts):
        raise ExportError(
            f"the adapter {folder} was trained on '{trained_on}', but the base is {base}: give its own base, "
            "in a folder of that name"
        )


def _ours(name: str, folder: Path) -> str:
    """The name in our model of a tensor of an adapter on a whole LLaVA."""
    found = _LAYER.fullmatch(name)
    if found is None:
        raise ExportError(
            f"the adapter {folder} changes {name}, which is no linear layer of the language model: "
            "adapters on a vision tower or a projector are not read"
        )
    return f"llm.base_model.model.model.{found['layer']}.{found['part']}.default.weight"
