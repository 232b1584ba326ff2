"""What TensorBoard shows of a fit beside losses and scores."""

from __future__ import annotations

from lightning import Callback

from aullava.config.changes import flat
from aullava.config.schema import Config
from aullava.training.callbacks.gradients import GradientNorms, Memory
from aullava.training.callbacks.hparams import FinalScores
from aullava.training.callbacks.pictures import ScorePictures
from aullava.training.callbacks.prompts import DecodedPrompts


def board_callbacks(config: Config) -> list[Callback]:
    """Gradient norms, memory, curves, the decoded prompt, the config beside the final scores."""
    return [GradientNorms(), Memory(), ScorePictures(), DecodedPrompts(), FinalScores(flat(config))]
