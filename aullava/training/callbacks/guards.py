"""Stops a run that would learn nothing or spoil its weights, and says which samples were the last."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from aullava.text.batch import AUBatch
from aullava.training.errors import RunError
from aullava.training.whole import whole

MOST_NAMES = 8

log = logging.getLogger(__name__)


class FiniteSteps(Callback):
    """Leaves out a step whose loss or gradient is not finite, and ends the run after too many in a row.

    The weights and the optimiser's moments stay as they are; the step counts, so that data and schedule go
    on as planned. With fp16 an infinite gradient under a finite loss is left to the loss scale, which falls.

    Args:
        most: steps in a row that may be left out before the run ends.
    """

    def __init__(self, most: int = 3) -> None:
        self.most = most
        self.skipped = 0
        self._in_a_row = 0
        self._batches: list[tuple[tuple[str, ...], Tensor]] = []
        self._ids: tuple[str, ...] = ()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: AUBatch, batch_idx: int
    ) -> None:
        """Note who is learned from."""
        self._ids = batch.sample_ids

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Note whether the loss is finite; nobody waits for the device here."""
        self._batches.append((self._ids, torch.isfinite(loss.detach())))

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Take the gradients away if one of them, or a loss, is not finite.

        Raises:
            RunError: too often in a row.
        """
        batches, self._batches = self._batches, []
        sick = [ids for ids, finite in batches if not finite]
        scaled = bool(trainer.precision_plugin.state_dict())  # only the loss scale of fp16 has a state
        bad = bool(sick) or not (scaled or _finite(optimizer))
        if not trainer.strategy.reduce_boolean_decision(bad, all=False):
            self._in_a_row = 0
            return
        for parameter in _parameters(optimizer):
            parameter.grad = None  # AdamW leaves out what has no gradient
        self.skipped += 1
        self._in_a_row += 1
        what = "loss" if sick else "gradient"
        names = names_of([name for ids in sick or [ids for ids, _ in batches] for name in ids])
        told = f"the {what} of step {trainer.global_step + 1} is not finite (samples {names})"
        if self._in_a_row >= self.most:
            raise RunError(
                f"{told}, and {self.most} steps in a row were left out: look at these samples, or lower "
                "optim.lr_projector and optim.lr_lora"
            )
        log.warning("%s: the step is left out", told)


class GradientCoverage(Callback):
    """Sees in the first step that a gradient reaches everything that is to be trained.

    LoRA's A gets its first gradient in the second step, since B begins as zero: of it, only that a gradient
    was computed is asked.
    """

    def __init__(self) -> None:
        self._seen = False

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Look once.

        Raises:
            RunError: a tensor would silently stay as it is.
        """
        if self._seen:
            return
        self._seen = True
        trained = [(name, one) for name, one in pl_module.named_parameters() if one.requires_grad]
        starved = [name for name, one in trained if _starved(name, one)]
        if starved:
            raise RunError(
                f"no gradient reaches {len(starved)} of {len(trained)} trainable tensors "
                f"({names_of(starved)}): they would never change, leave them out of adapter.targets"
            )


def _starved(name: str, parameter: Tensor) -> bool:
    if parameter.grad is None:
        return True
    return "lora_A" not in name and not bool(whole(parameter.grad).any())


def _parameters(optimizer: Optimizer) -> list[Any]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _finite(optimizer: Optimizer) -> bool:
    """Whether all gradients are finite: their norm is then."""
    gradients = [parameter.grad for parameter in _parameters(optimizer) if parameter.grad is not None]
    return bool(torch.isfinite(whole(torch.nn.utils.get_total_norm(gradients))))


def names_of(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
