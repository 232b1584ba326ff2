"""A few validation faces with what the model answered, as pictures and texts in TensorBoard."""

from __future__ import annotations

from typing import Any

import numpy as np
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from aullava.evaluation.draw import answer_card
from aullava.text.answer import Answer
from aullava.text.batch import PromptBatch


class SampleAnswers(Callback):
    """Logs the first faces of every validation loader: face, bars of truth and answer, and the raw text.

    Faces are shown only where the dataset allows it (`log_images`); the texts always.

    Args:
        count: faces per dataset.
    """

    def __init__(self, count: int = 4) -> None:
        self.count = count

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: PromptBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Log the first batch of each loader."""
        if batch_idx or trainer.sanity_checking or not isinstance(trainer.logger, TensorBoardLogger):
            return
        answers: list[Answer] = outputs["answers"][: self.count]
        loaders: Any = trainer.val_dataloaders
        faces = (loaders[dataloader_idx] if isinstance(loaders, list) else loaders).dataset
        # The loader's name tells the formats of one dataset apart, the samples' does not.
        writer, step, name = trainer.logger.experiment, trainer.global_step, faces.module.name
        truths = batch.targets.cpu().numpy()
        lines = [f"**{one.sample_id}** {one.text}" for one in answers]
        writer.add_text(f"answers/{name}", "\n\n".join(lines), step)
        if not faces.module.log_images:
            return
        cards = []
        for row, answer in enumerate(answers):
            truth = dict(zip(batch.aus[row], truths[row].tolist(), strict=False))  # targets are padded
            cards.append(answer_card(faces[row].image, answer, truth))
        writer.add_image(f"faces/{name}", np.vstack(cards), step, dataformats="HWC")
