"""How fast a run is, and how long it waits for data."""

from __future__ import annotations

import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from aullava.text.batch import AUBatch
from aullava.training.processes import total


class Throughput(Callback):
    """Logs images and tokens per second, and the share of the time spent waiting for the next batch.

    The first steps are left out: they allocate and compile.

    Args:
        skip: batches that are not counted.
    """

    def __init__(self, skip: int = 3) -> None:
        self.skip = skip
        self._images = self._tokens = 0
        self._busy = self._waited = 0.0
        self._last_end: float | None = None
        self._began = 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: AUBatch, batch_idx: int
    ) -> None:
        """The batch is here: what passed since the last one ended was waiting."""
        self._began = time.perf_counter()
        if self._last_end is not None and batch_idx >= self.skip:
            self._waited += self._began - self._last_end

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: AUBatch, batch_idx: int
    ) -> None:
        """Count the batch; log now and then."""
        self._last_end = time.perf_counter()
        if batch_idx < self.skip:
            return
        self._busy += self._last_end - self._began
        self._images += len(batch.pixel_values)
        self._tokens += int(batch.attention_mask.sum())
        log_every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by a helper of its own
        if trainer.logger is not None and (batch_idx + 1) % log_every == 0:
            trainer.logger.log_metrics(self._of_all(), step=trainer.global_step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A validation between two batches is no waiting for data."""
        self._last_end = None

    def _of_all(self) -> dict[str, float]:
        """The rates of all processes together, and their mean share of waiting."""
        mine = self.rates()
        *rates, waited, processes = total(torch.tensor([*mine.values(), 1.0], dtype=torch.float64)).tolist()
        return dict(zip(mine, [*rates, waited / processes], strict=True))

    def rates(self) -> dict[str, float]:
        """Means since the start of the run, of this process."""
        total = max(self._busy + self._waited, 1e-9)
        return {
            "throughput/images_per_second": self._images / total,
            "throughput/tokens_per_second": self._tokens / total,
            "throughput/data_wait_share": self._waited / total,
        }
