"""Where model files lie, and the one way to load weights: safetensors only, no code, nothing missing."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers import utils as transformers_utils

from aullava.models.errors import MissingModelError, ModelError
from aullava.models.fetched import FETCHED, fetched_folder
from aullava.models.hub import hub_folder, is_hub_id

TINY: Final = Path(__file__).parent / "tiny"
"""The small backbone that ships with the package: one folder per part."""

# What transformers raises for a folder that is incomplete, damaged or of an unknown type.
LOADING_ERRORS: Final = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError)

KEYS: Final = {"vision": "vision.name", "llm": "llm.name", "llava": "llm.init_from"}
"""By which the configuration calls a part."""

_PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_INDEX: Final = "model.safetensors.index.json"
Needed = Sequence[Sequence[str]]
Module = TypeVar("Module", bound=nn.Module)


def model_folder(name: str, part: str, needed: Needed) -> Path:
    """The folder that `name` stands for.

    Args:
        name: "tiny" for the shipped backbone, a name of `FETCHED`, the path of a local folder, or a hub id
            (OWNER/NAME, or OWNER/NAME@REVISION), which is looked up in the cache first.
        part: one of `KEYS`.
        needed: the files that must be there; of each group one file is enough (glob patterns allowed).

    Raises:
        MissingModelError: the folder or one of the files is not there.
        ModelError: the folder holds weights as pickle files only.
    """
    wanted = ", ".join(" or ".join(group) for group in needed)
    if name in FETCHED:
        folder = fetched_folder(name)
        if not folder.is_dir():
            raise MissingModelError(
                f"{KEYS[part]} is '{name}', which is not here yet: `aullava models fetch {name}` brings it"
            )
    elif is_hub_id(name):
        folder = hub_folder(name, KEYS[part], wanted, lambda found: not _lacking(found, needed))
    else:
        folder = TINY / part if name == "tiny" else Path(name).expanduser()
    if not folder.is_dir():
        raise MissingModelError(
            f"{KEYS[part]} is '{name}', but there is no folder {folder}: give 'tiny', a hub id (OWNER/NAME) "
            f"or a local folder that holds {wanted}"
        )
    for lacking in _lacking(folder, needed):
        pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if pickles and lacking.endswith(".safetensors"):
            raise ModelError(
                f"model folder {folder} holds its weights only as a pickle ({pickles[0]}), which can run "
                "code when it is read: convert it to model.safetensors first"
            )
        raise MissingModelError(f"model folder {folder} has no {lacking}: it must hold {wanted}")
    return folder


def _lacking(folder: Path, needed: Needed) -> list[str]:
    """Which of the needed groups, and which shards of a model in several files, are not there."""
    lacking = [" or ".join(group) for group in needed if not any(any(folder.glob(one)) for one in group)]
    index = folder / _INDEX
    if any(pattern.endswith(".safetensors") for group in needed for pattern in group) and index.is_file():
        try:
            shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{index} cannot be read: {error}") from error
        lacking += [shard for shard in shards if not (folder / shard).is_file()]
    return lacking


def load_config(folder: Path) -> PreTrainedConfig:
    """The config.json of a model folder.

    Raises:
        ModelError: it cannot be read, or it describes a model that only code of the folder could build.
    """
    path = folder / "config.json"
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except LOADING_ERRORS as error:
        if _asks_for_code(path):
            raise ModelError(
                f"{path} names code of its own (auto_map), which is not run: "
                "take a model whose type transformers itself knows"
            ) from error
        raise ModelError(f"{path} cannot be read: {error}") from error
    return config


def _asks_for_code(path: Path) -> bool:
    try:
        return "auto_map" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def load_weights(auto_class: Any, folder: Path, **options: Any) -> PreTrainedModel:
    """Load a model from a local folder: safetensors only, no code from the folder, every weight present.

    Args:
        auto_class: an Auto class of transformers (AutoModel, AutoModelForCausalLM, ...).
        folder: from `model_folder`.
        options: handed to `from_pretrained` (config, dtype, attn_implementation).

    Raises:
        ModelError: transformers refuses the folder, or weights of the model are missing in it.
    """
    try:
        with quiet():
            model, report = auto_class.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **options,
            )
    except LOADING_ERRORS as error:
        raise ModelError(f"model folder {folder} cannot be loaded: {error}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"model folder {folder} lacks {len(missing)} weights of its {type(model).__name__} "
            f"(first: {missing[0]}): its config.json and its safetensors do not belong together"
        )
    loaded: PreTrainedModel = model
    return loaded


def cast_weights(model: Module, dtype: torch.dtype) -> Module:
    """The model with its weights in `dtype`; its buffers (rotary frequencies) stay as they are."""
    for weight in model.parameters():
        weight.data = weight.data.to(dtype)
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and list of unused weights off the terminal; we read the report."""
    library: Any = transformers_utils.logging  # parts of it carry no types
    level, bars = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity(logging.ERROR)
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.set_verbosity(level)
        if bars:
            library.enable_progress_bar()
