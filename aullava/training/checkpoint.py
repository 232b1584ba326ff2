"""Trained weights on disk: every trainable tensor and nothing frozen, as safetensors, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from aullava.evaluation.choice import Chosen
from aullava.models.vlm import FaceLanguageModel
from aullava.training.errors import RunError
from aullava.training.run_folder import CHECKPOINTS
from datamodules.whole_file import whole_file

WEIGHTS = Path(CHECKPOINTS) / "last.safetensors"
"""Of the last step that was saved, below the folder of a run."""
BEST = Path(CHECKPOINTS) / "best.safetensors"
"""Of the best validation, where a run chooses; the choice stands in the file."""
CHOSEN = "chosen"
"""Its name there; one entry, since safetensors writes several in any order."""


def save_weights(weights: Mapping[str, Tensor], run: Path, chosen: Chosen | None = None) -> Path:
    """Write the trained tensors of a run, to a temporary name first.

    Args:
        weights: as `FaceLanguageModel.trainable_state_dict` names them, whole.
        run: its folder.
        chosen: the validation by which they are the best so far; None: they are the last.

    Raises:
        RunError: they cannot be written; what was saved before is as it was.
    """
    path = run / (WEIGHTS if chosen is None else BEST)
    about = None if chosen is None else {CHOSEN: json.dumps(asdict(chosen))}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, temporary, about)
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk as an error of its own
        raise RunError(
            f"no weights can be written into {path.parent} ({error}): make room there, then go on with "
            f"`aullava resume {run}`; what was saved before is whole"
        ) from None
    return path


def load_weights(model: FaceLanguageModel, run: Path) -> None:
    """Take over the trained tensors that a run reports: all of them and no others.

    Raises:
        RunError: the run has no weights, or the file is damaged.
        CheckpointMismatchError: they belong to a model of another shape.
    """
    model.load_trainable_state_dict(read_weights(run))


def read_weights(run: Path) -> dict[str, Tensor]:
    """The trained tensors that a run reports, on the CPU: those of its choice, else the last.

    Raises:
        RunError: the run has no weights, or the file is damaged.
    """
    path = run / BEST if (run / BEST).is_file() else run / WEIGHTS
    if not path.is_file():
        if any(path.parent.glob("step-*.ckpt")):  # sharded: a run writes them whole when it is asked
            raise RunError(f"{path} does not exist yet: go on with `aullava resume {run}`")
        raise RunError(f"{path} does not exist: the run has not been trained to its first save, fit it again")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from None


def chosen_validation(run: Path) -> Chosen | None:
    """The validation whose weights a run reports; None: there was no choice, its last ones are reported.

    Raises:
        RunError: the file is damaged.
    """
    path = run / BEST
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
        return Chosen(**json.loads(about[CHOSEN]))
    except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(f"{path} is damaged ({error}): restore it from a copy or fit the run again")
