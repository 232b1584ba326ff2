"""Notices a model that gives every face the same answer."""

from __future__ import annotations

import logging

from lightning import Callback, LightningModule, Trainer

from aullava.training.module import AULightningModule

SAME, DIFFERENT = 1.5, 3.0
"""Effective numbers of different answers: fewer than the first is one answer with a few exceptions; labels
with fewer than the second are no better."""

log = logging.getLogger(__name__)


class AnswerCollapse(Callback):
    """Warns after a validation whose answers were nearly all the same although the labels differ.

    After LoRA a model may stop looking at the picture (LLaVA's issues 1546, 1750, 1206): the loss still falls
    while it learns the most frequent answer.
    """

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at every dataset."""
        assert isinstance(pl_module, AULightningModule)
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        for asked in pl_module.datasets:
            said = pl_module.scores.get(f"val/{asked.name}/answer_diversity", float("nan"))
            true = pl_module.scores.get(f"val/{asked.name}/label_diversity", float("nan"))
            if said < SAME and true > DIFFERENT:
                log.warning(
                    "the answers about %s are nearly all the same after step %d (%.1f different ones, the "
                    "labels have %.1f): the model may not look at the picture; if this lasts, lower "
                    "optim.lr_lora or set data.balance=rare",
                    *(asked.name, trainer.global_step, said, true),
                )
