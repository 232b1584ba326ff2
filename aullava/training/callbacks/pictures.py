"""What a validation looks like in TensorBoard: precision-recall, reliability, what comes together."""

from __future__ import annotations

import numpy as np
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from aullava.evaluation.answer_table import Values
from aullava.evaluation.co_occurrence import co_occurrence
from aullava.evaluation.curves import reliability
from aullava.evaluation.draw_scores import co_occurrence_picture, reliability_picture
from aullava.evaluation.scores import PRESENT_FROM
from aullava.training.module import Asked, AULightningModule
from datamodules.action_units import UNKNOWN, Scale


class ScorePictures(Callback):
    """Logs the curves of every validation, after its scores: no face is in them."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the curves of each dataset whose answers say what is present."""
        assert isinstance(pl_module, AULightningModule)
        if trainer.sanity_checking or not isinstance(trainer.logger, TensorBoardLogger):
            return
        writer, step = trainer.logger.experiment, trainer.global_step
        for asked in pl_module.datasets:
            if asked.scale not in PRESENT_FROM or asked.name not in pl_module.rows:
                continue
            _, answers, labels, said = (one.cpu().numpy() for one in pl_module.rows[asked.name])
            cut = PRESENT_FROM[asked.scale]
            tables = {
                "coded": co_occurrence(labels, labels, cut),
                "answered": co_occurrence(answers, labels, cut),
            }
            picture = co_occurrence_picture(asked.aus, tables)
            writer.add_image(f"together/{asked.name}", picture, step, dataformats="HWC")
            if asked.scale is Scale.PRESENCE:
                self._curves(trainer, asked, labels, said)

    def _curves(self, trainer: Trainer, asked: Asked, labels: Values, said: Values) -> None:
        assert isinstance(trainer.logger, TensorBoardLogger)
        writer, step, reliable = trainer.logger.experiment, trainer.global_step, {}
        for at, code in enumerate(asked.aus):
            known = (labels[:, at] != UNKNOWN) & (said[:, at] != UNKNOWN)
            if not known.any():
                continue
            truth = labels[known, at] == 1
            reliable[code] = reliability(said[known, at], truth, 10)
            writer.add_pr_curve(f"pr/{asked.name}/{code}", truth.astype(np.int64), said[known, at], step)
        if reliable:
            picture = reliability_picture(reliable)
            writer.add_image(f"reliability/{asked.name}", picture, step, dataformats="HWC")
