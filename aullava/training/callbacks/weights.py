"""Saves the trained weights of a run whenever it has been validated, and at its end."""

from __future__ import annotations

from pathlib import Path

from lightning import Callback, LightningModule, Trainer

from aullava.training.checkpoint import save_weights
from aullava.training.module import AULightningModule


class SaveWeights(Callback):
    """Writes ``checkpoints/last.safetensors`` on the first process.

    Args:
        run: folder of the run.
    """

    def __init__(self, run: Path) -> None:
        self.run = run

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after each validation but the sanity check."""
        if not trainer.sanity_checking:
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what the last step gave."""
        self._save(trainer, pl_module)

    def _save(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, AULightningModule)
        if trainer.is_global_zero:
            save_weights(pl_module.model, self.run)
