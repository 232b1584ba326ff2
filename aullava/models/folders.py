"""Where model files lie, and the one way to load weights: local, safetensors only, nothing missing."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers import utils as transformers_utils

from aullava.models.errors import MissingModelError, ModelError

TINY: Final = Path(__file__).parent / "tiny"
"""The small backbone that ships with the package: one folder per part."""

# What transformers raises for a folder that is incomplete, damaged or of an unknown type.
LOADING_ERRORS: Final = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError)

_PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def model_folder(name: str, part: str, needed: Sequence[Sequence[str]]) -> Path:
    """The folder that `name` stands for.

    Args:
        name: "tiny" for the shipped backbone, else the path of a local folder.
        part: "vision" or "llm"; also the word by which the configuration calls it.
        needed: the files that must be there; of each group one file is enough (glob patterns allowed).

    Raises:
        MissingModelError: the folder or one of the files is not there.
        ModelError: the folder holds weights as pickle files only.
    """
    folder = TINY / part if name == "tiny" else Path(name).expanduser()
    wanted = ", ".join(" or ".join(group) for group in needed)
    if not folder.is_dir():
        raise MissingModelError(
            f"{part}.name is '{name}', but there is no folder {folder}: "
            f"give 'tiny' or a local folder that holds {wanted}"
        )
    for group in needed:
        if any(any(folder.glob(pattern)) for pattern in group):
            continue
        pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if pickles and any(pattern.endswith(".safetensors") for pattern in group):
            raise ModelError(
                f"model folder {folder} holds its weights only as a pickle ({pickles[0]}), which can run "
                "code when it is read: convert it to model.safetensors first"
            )
        raise MissingModelError(f"model folder {folder} has no {' or '.join(group)}: it must hold {wanted}")
    return folder


def load_weights(auto_class: Any, folder: Path, **options: Any) -> PreTrainedModel:
    """Load a model from a local folder: safetensors only, no code from the folder, every weight present.

    Args:
        auto_class: an Auto class of transformers (AutoModel, AutoModelForCausalLM).
        folder: from `model_folder`.
        options: handed to `from_pretrained` (config, dtype, attn_implementation).

    Raises:
        ModelError: transformers refuses the folder, or weights of the model are missing in it.
    """
    try:
        with _quiet():
            model, report = auto_class.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' progress bar and list of unused weights off the terminal; we read the report."""
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
