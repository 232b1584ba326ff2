"""A progress bar that knows the end of a run although its data never end."""

from __future__ import annotations

from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import TQDMProgressBar


class StepProgress(TQDMProgressBar):
    """Lightning's bar, counting to ``max_steps``."""

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """Give the bar its true length: the batches that are left until the last optimiser step."""
        super().on_train_epoch_start(trainer)
        left = trainer.max_steps - trainer.global_step
        self.train_progress_bar.reset(left * trainer.accumulate_grad_batches)
        self.train_progress_bar.set_description("training")
