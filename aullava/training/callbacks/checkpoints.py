"""Saves a run between two steps: now and then, after validations, at its end, and when it has to stop.

After a validation that is as good as the best before it, its weights are kept as ``best.safetensors``, before
the snapshot: a run that is killed between the two comes to the same validation again.
"""

from __future__ import annotations

import io
import math
import time
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from aullava.evaluation.choice import LAST, Chosen, is_better, validation_score
from aullava.training.checkpoint import chosen_validation, save_weights
from aullava.training.errors import PreemptedError
from aullava.training.module import AULightningModule
from aullava.training.random_state import random_state
from aullava.training.shards import own_part, write_part
from aullava.training.snapshots import Snapshot, write_snapshot
from aullava.training.stop_signals import StopSignals
from aullava.training.whole import whole_moments, whole_weights


class SaveCheckpoints(Callback):
    """Writes a snapshot to resume from, then moves ``checkpoints/last.safetensors`` to its weights.

    In parts, nothing is gathered for it: ``last.safetensors`` moves after validations and at the end alone.

    A signal to any process sets a flag. After each step the processes agree whether one was set; then they
    save together, and the fit ends with `PreemptedError`.

    Args:
        run: folder of the run.
        every: steps between two saves.
        config: every value of the run's config by its dotted key.
        data: fingerprint of the data.
        images: of a batch, those of all processes together.
        seconds: time that training has taken before this process.
        by: what the weights that the run reports are chosen by (`aullava.evaluation.choice`).
        sharded: whether every process writes what it holds of weights and moments by itself.
    """

    def __init__(
        self,
        run: Path,
        every: int,
        config: dict[str, Any],
        data: str,
        images: int,
        seconds: float = 0.0,
        by: str = LAST,
        sharded: bool = False,
    ) -> None:
        self.run = run
        self.every = every
        self.config = config
        self.data = data
        self.images = images
        self.by = by
        self.sharded = sharded
        self.signals = StopSignals()
        self._began = time.monotonic() - seconds
        self._saved = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on a signal waits for the end of its step; until now nothing could be lost."""
        self.signals.watch()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if asked to, or save if it is time to."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        self._stop_if_asked(trainer, pl_module)
        if trainer.global_step % self.every == 0 and not _validates_now(trainer):
            self._save(trainer, pl_module)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """A validation may be longer than the time that is left: it is broken off."""
        if self.signals.received is not None or trainer.world_size > 1:
            self._stop_if_asked(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after each validation but the sanity check."""
        if not trainer.sanity_checking:
            self._save(trainer, pl_module, validated=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what the last step gave, unless its validation did."""
        if self._saved != trainer.global_step:
            self._save(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self.signals.leave()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back."""
        self.signals.leave()

    def _stop_if_asked(self, trainer: Trainer, pl_module: LightningModule) -> None:
        mine = self.signals.received
        if trainer.sanity_checking or not trainer.strategy.reduce_boolean_decision(
            mine is not None, all=False
        ):
            return
        if self._saved != trainer.global_step:
            self._save(trainer, pl_module)
        said = f"stopped by {mine or 'a signal to another process'} after step {trainer.global_step}"
        raise PreemptedError(f"{said}; all is saved, go on with `aullava resume {self.run}`")

    def _save(self, trainer: Trainer, pl_module: LightningModule, validated: bool = False) -> None:
        """All processes take part: each has random generators of its own. The first one writes."""
        assert isinstance(pl_module, AULightningModule)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]  # set by a helper of its own
        root, optimizer, step = trainer.strategy.model, trainer.optimizers[0], trainer.global_step
        mine = {"random": random_state(), "part": ""}
        if self.sharded:
            rank, size = trainer.global_rank, trainer.world_size
            part = own_part(pl_module.model, optimizer, rank, size)
            mine["part"] = write_part(part, self.run, step, rank, size)
        theirs = _gathered(mine, trainer.world_size)
        # Other verbs want whole weights; those of a step in between are of no use to them.
        read = not self.sharded or validated or step >= trainer.max_steps
        weights = whole_weights(pl_module.model, root) if read else {}
        moments = _without_tensors(optimizer) if self.sharded else whole_moments(optimizer, root)
        if trainer.is_global_zero:
            if validated and self.by != LAST:
                score = choose(pl_module, weights, self.run, step, self.by)
                if trainer.logger is not None and math.isfinite(score):
                    trainer.logger.log_metrics({"val/chosen_by": score}, step=step)
            snapshot = Snapshot(
                step=step,
                world_size=trainer.world_size,
                images=self.images,
                seconds=time.monotonic() - self._began,
                config=self.config,
                data=self.data,
                weights={} if self.sharded else weights,
                optimizer=moments,
                schedule=trainer.lr_scheduler_configs[0].scheduler.state_dict(),
                precision=trainer.precision_plugin.state_dict(),
                sampler=data.state_dict() if data is not None else {},
                random=[one["random"] for one in theirs],
            )
            write_snapshot(snapshot, self.run, [one["part"] for one in theirs if self.sharded])
            if read:
                save_weights(weights, self.run)
        self._saved = step
        trainer.strategy.barrier("checkpoint")


def choose(module: AULightningModule, weights: dict[str, Tensor], run: Path, step: int, by: str) -> float:
    """Keep weights as those that a run reports, if its last validation was the best so far.

    Args:
        module: with the scores of that validation.
        weights: that gave them, whole.
        run: its folder.
        step: optimiser steps done.
        by: what is compared.

    Returns:
        The score of that validation.
    """
    score = validation_score(module.scores, by, {one.name: one.scale for one in module.datasets})
    before = chosen_validation(run)
    if is_better(score, None if before is None else before.score, by):
        save_weights(weights, run, Chosen(step, score, by))
    return score


def _validates_now(trainer: Trainer) -> bool:
    """Whether this step is followed by a validation, which saves when it is done."""
    batches, every = trainer.global_step * trainer.accumulate_grad_batches, trainer.val_check_batch
    return trainer.enable_validation and every is not None and batches % every == 0


def _without_tensors(optimizer: Optimizer) -> dict[str, Any]:
    """Rates and all else that is the same in all processes."""
    return {**optimizer.state_dict(), "state": {}}


def _gathered(state: dict[str, Any], world_size: int) -> list[dict[str, Any]]:
    """The states of all processes, in the order of their ranks."""
    if world_size == 1:
        return [state]
    # As files are written: pickled on their own, tensors of unsigned numbers cannot be read back.
    packed = io.BytesIO()
    torch.save(state, packed)
    found: list[Any] = [None] * world_size
    torch.distributed.all_gather_object(found, packed.getvalue())
    return [torch.load(io.BytesIO(one), weights_only=True) for one in found]
