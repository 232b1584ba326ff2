"""Where the trained weights of a run begin: in an earlier run, in a LLaVA, or in the labels."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Final

from aullava.alignment import align_projector
from aullava.config.load import resolve
from aullava.config.schema import Config
from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator
from aullava.training.checkpoint import read_weights
from aullava.training.errors import RunError
from aullava.training.processes import Processes
from aullava.vocabulary import vocabulary
from datamodules.mixture import Mixture

SAME: Final = (
    "vision.name",
    "vision.layers",
    "vision.tokens",
    "projector.kind",
    "llm.name",
    "llm.init_from",
)
"""What two stages must have in common: a projector joins one encoder to one language model."""


def start_weights(
    config: Config, model: FaceLanguageModel, collator: Collator, data: Mixture, processes: Processes
) -> None:
    """Give the trained weights their start, in place; called by all processes of the job.

    Args:
        config: of the run that begins.
        model: fresh from `build_model`.
        collator: of this run.
        data: set up; its labels are read with projector.align, if the projector was never trained.
        processes: of the job.

    Raises:
        RunError: the earlier run is not there, or has another encoder or language model.
        CheckpointMismatchError: its weights are of another shape.
        ConfigError: its config cannot be read.
    """
    if config.init_from_run is not None:
        earlier = Path(config.init_from_run).expanduser()
        _same_parts(config, earlier)
        model.begin_with(read_weights(earlier))
    if config.projector.align and not model.aligned:
        align_projector(model, collator, data, processes)


def _same_parts(config: Config, run: Path) -> None:
    """Refuse weights that were trained around other frozen parts, also where the shapes would fit."""
    if not (run / "config.yaml").is_file():
        raise RunError(f"init_from_run is {run}, but it holds no config.yaml: give the folder of a run")
    before = resolve(run / "config.yaml", (), vocabulary()).config
    for key in SAME:
        then, now = attrgetter(key)(before), attrgetter(key)(config)
        if then != now:
            raise RunError(
                f"{key} is {now}, but the weights of {run} were trained with {then}: "
                f"write {key}={'null' if then is None else then}"
            )
