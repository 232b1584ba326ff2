"""Trained weights on disk: every trainable tensor and nothing frozen, as safetensors, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from aullava.models.vlm import FaceLanguageModel
from aullava.training.errors import RunError
from aullava.training.run_folder import whole_file

WEIGHTS = Path("checkpoints") / "last.safetensors"
"""Below the folder of a run."""


def save_weights(model: FaceLanguageModel, run: Path) -> Path:
    """Write the trained tensors of a run, to a temporary name first."""
    path = run / WEIGHTS
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous().cpu() for name, tensor in model.trainable_state_dict().items()}
    with whole_file(path) as temporary:
        save_file(state, temporary)
    return path


def load_weights(model: FaceLanguageModel, run: Path) -> None:
    """Take over the trained tensors of a run: all of them and no others.

    Raises:
        RunError: the run has no weights, or the file is damaged.
        CheckpointMismatchError: they belong to a model of another shape.
    """
    model.load_trainable_state_dict(read_weights(run))


def read_weights(run: Path) -> dict[str, Tensor]:
    """The trained tensors of a run, on the CPU.

    Raises:
        RunError: the run has no weights, or the file is damaged.
    """
    path = run / WEIGHTS
    if not path.is_file():
        raise RunError(f"{path} does not exist: the run has not been trained to its first save, fit it again")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path} is damaged ({error}): restore it from a copy or fit the run again") from None
