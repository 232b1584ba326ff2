"""Ends a run that gets nowhere, and says where each process stands and with which samples."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from lightning import Callback, LightningModule, Trainer

from aullava.text.batch import PromptBatch
from aullava.training.callbacks.guards import names_of

EXIT_STUCK = 1


class Watchdog(Callback):
    """A thread that looks at the clock: a process that waits for a lost partner cannot do it itself.

    Every process has one. Those that wait for another say so as well: the one that stands elsewhere than the
    others is the one to look at.

    Args:
        seconds: after which a batch, or the way to the next one, counts as stuck.
        say: takes the sentence before the process ends.
    """

    def __init__(self, seconds: float, say: Callable[[str], object]) -> None:
        self.seconds = seconds
        self.say = say
        self._done = threading.Event()
        self._who = ""
        self._where, self._since = "before the first batch", time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to watch."""
        self._who = f"process {trainer.global_rank} of {trainer.world_size}"
        self._note("waiting for the first batch")
        threading.Thread(target=self._watch, daemon=True).start()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: PromptBatch, batch_idx: int
    ) -> None:
        """Note what is learned from."""
        self._note(f"in step {trainer.global_step + 1}, with the samples {names_of(batch.sample_ids)}")

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Note that the next batch is waited for."""
        self._note(f"after step {trainer.global_step}, waiting for the next batch")

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: PromptBatch, *_: Any
    ) -> None:
        """Note who is asked about."""
        self._note(f"answering after step {trainer.global_step} for the samples {names_of(batch.sample_ids)}")

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Note that the next batch is waited for."""
        self._note(f"in the validation after step {trainer.global_step}, waiting for the next batch")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Watch no longer."""
        self._done.set()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Watch no longer."""
        self._done.set()

    def _note(self, where: str) -> None:
        self._where, self._since = where, time.monotonic()

    def _watch(self) -> None:
        while not self._done.wait(min(1.0, self.seconds / 4)):
            if time.monotonic() - self._since > self.seconds:
                self._end()

    def _end(self) -> None:
        faulthandler.dump_traceback(sys.stderr)
        self.say(
            f"aullava: {self._who} got nowhere for {self.seconds:g} seconds, {self._where}: look there, or "
            "raise trainer.stuck_after; go on with `aullava resume RUN`"
        )
        os._exit(EXIT_STUCK)  # the thread that hangs cannot be asked to end
