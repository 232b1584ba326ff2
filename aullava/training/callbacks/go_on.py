"""Puts a run back to where a snapshot was taken."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer

from aullava.training.random_state import set_random_state
from aullava.training.snapshots import Snapshot
from aullava.training.whole import load_moments


class GoOn(Callback):
    """Takes over moments, rates and counters before the first step, random states right at it.

    Weights and data are put back where they are made, before the processes share them out and load them.

    Args:
        snapshot: of a run with the same config and number of processes.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._waiting = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Optimiser and schedule as they were, and Lightning's counters."""
        snapshot = self.snapshot
        load_moments(trainer.optimizers[0], snapshot.optimizer, trainer.strategy.model)
        trainer.lr_scheduler_configs[0].scheduler.load_state_dict(snapshot.schedule)
        if snapshot.precision:
            trainer.precision_plugin.load_state_dict(snapshot.precision)
        loop = trainer.fit_loop.epoch_loop
        loop.on_load_checkpoint({"_batches_that_stepped": snapshot.step})  # the step that loggers write down
        batches, steps = loop.batch_progress.total, loop.automatic_optimization.optim_progress
        for name in ("ready", "started", "processed", "completed"):
            setattr(batches, name, snapshot.step * trainer.accumulate_grad_batches)
        for name in ("ready", "completed"):
            setattr(steps.optimizer.step.total, name, snapshot.step)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """What was drawn while everything was made ready does not count."""
        if self._waiting and trainer.world_size == self.snapshot.world_size:
            set_random_state(self.snapshot.random[trainer.global_rank])
            self._waiting = False
