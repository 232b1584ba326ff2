"""Where the time of a training step goes."""

from __future__ import annotations

import time
from typing import Any, Final

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from aullava.text.batch import AUBatch
from aullava.training.module import AULightningModule

PARTS: Final = ("data wait", "vision", "LLM forward", "backward", "optimiser", "rest")


class StepProfile(Callback):
    """Adds up the seconds of each part of a step. The device is waited for at every border of two parts.

    Gradients that are sent around belong to the backward pass, with which that overlaps. Guards, checks and
    logging are the rest.

    Args:
        skip: batches at the beginning that are left out: they allocate and compile.

    Attributes:
        seconds: of each of `PARTS`, in all batches that count.
        batches: how many those are.
        images: in them.
        answers: in them.
    """

    def __init__(self, skip: int) -> None:
        self.skip = skip
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.batches = self.images = self.answers = 0
        self._hooks: list[Any] = []
        self._counts = False
        self._last = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to the two models."""
        assert isinstance(pl_module, AULightningModule)
        for part, module in (("vision", pl_module.model.vision), ("LLM forward", pl_module.model.llm)):
            self._hooks.append(module.register_forward_pre_hook(lambda *_: self._ends("rest")))
            self._hooks.append(module.register_forward_hook(self._ending(part)))
        self._last = _now()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: AUBatch, batch_idx: int
    ) -> None:
        """The batch is here."""
        self._counts = batch_idx >= self.skip
        self._ends("data wait")
        if self._counts:
            self.batches += 1
            self.images += len(batch.pixel_values)
            self.answers += len(batch.asked)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """The loss is there."""
        self._ends("rest")

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The gradients are there."""
        self._ends("backward")

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """The guards have looked at the gradients."""
        self._ends("rest")

    def on_before_zero_grad(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """What came before belongs to nobody."""
        self._ends("rest")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: AUBatch, batch_idx: int
    ) -> None:
        """The step has been made, if this was its last batch."""
        self._ends("rest" if (batch_idx + 1) % trainer.accumulate_grad_batches else "optimiser")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen no longer."""
        for hook in self._hooks:
            hook.remove()

    def _ending(self, part: str) -> Any:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            self._ends(part)

        return hook

    def _ends(self, part: str) -> None:
        now = _now()
        if self._counts:
            self.seconds[part] += now - self._last
        self._last = now


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
