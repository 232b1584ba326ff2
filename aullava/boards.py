"""What TensorBoard shows of a fit beside losses and scores."""

from __future__ import annotations

from lightning import Callback

from aullava.training.callbacks.gradients import GradientNorms, Memory
from aullava.training.callbacks.pictures import ScorePictures
from aullava.training.callbacks.prompts import DecodedPrompts


def board_callbacks() -> list[Callback]:
    """Gradient norms, memory, curves, the decoded prompt."""
    return [GradientNorms(), Memory(), ScorePictures(), DecodedPrompts()]
