"""Trained weights on disk: every trainable tensor and nothing frozen, as safetensors, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from aullava.models.vlm import FaceLanguageModel
from aullava.training.errors import RunError
from aullava.training.run_folder import CHECKPOINTS, whole_file

WEIGHTS = Path(CHECKPOINTS) / "last.safetensors"
"""Below the folder of a run."""


def save_weights(weights: Mapping[str, Tensor], run: Path) -> Path:
    """Write the trained tensors of a run, to a temporary name first.

    Args:
        weights: as `FaceLanguageModel.trainable_state_dict` names them, whole.
        run: its folder.

    Raises:
        RunError: they cannot be written; what was saved before is as it was.
    """
    path = run / WEIGHTS
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, temporary)
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk as an error of its own
        raise RunError(
            f"no weights can be written into {path.parent} ({error}): make room there, then go on with "
            f"`aullava resume {run}`; what was saved before is whole"
        ) from None
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
