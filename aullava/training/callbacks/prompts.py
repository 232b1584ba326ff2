"""The question and the answer as the model learns them, in TensorBoard: one text per dataset and format."""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import cast

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from aullava.decoding.generate import Writer
from aullava.text.batch import UNSUPERVISED, AUBatch
from aullava.training.module import AULightningModule

OPEN, CLOSE = "⟦", "⟧"
WIDTH = 120


class DecodedPrompts(Callback):
    """Logs the first training sample of each dataset and format, decoded, supervised tokens in brackets."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: AUBatch, batch_idx: int
    ) -> None:
        """Log the rows of a batch whose kind is new: it may ask about a picture in several formats."""
        assert isinstance(pl_module, AULightningModule)
        if not isinstance(trainer.logger, TensorBoardLogger):
            return
        for row, (dataset, scale) in enumerate(zip(batch.datasets, batch.scales, strict=True)):
            name = f"prompt/{dataset}/{scale}"
            if name in self._seen:
                continue
            self._seen.add(name)
            text = decoded(batch, row, cast("Writer", pl_module.collator.tokenizer))
            trainer.logger.experiment.add_text(name, text, trainer.global_step)


def decoded(batch: AUBatch, number: int, writer: Writer) -> str:
    """A row of a batch as Markdown: every supervised token in brackets, the image as its length."""
    row = zip(
        batch.input_ids[number].tolist(),
        batch.labels[number].tolist(),
        batch.image_mask[number].tolist(),
        batch.attention_mask[number].tolist(),
        strict=True,
    )
    tokens = [
        ("image" if image else "learned" if label != UNSUPERVISED else "read", token)
        for token, label, image, real in row
        if real
    ]
    parts, learned = [], 0
    for kind, group in groupby(tokens, key=lambda one: one[0]):
        ids = [token for _, token in group]
        if kind == "image":
            parts.append(f"[image: {len(ids)} tokens]")
        elif kind == "read":
            parts.append(_text(writer, ids))
        else:
            learned += len(ids)
            parts += [f"{OPEN}{_text(writer, [one])}{CLOSE}" for one in ids]
    lines = [wrap for line in "".join(parts).splitlines() for wrap in textwrap.wrap(line, WIDTH) or [""]]
    shown = "\n".join(f"    {line}" for line in lines)
    return f"{len(tokens)} tokens, {learned} of them supervised ({OPEN}like this{CLOSE}):\n\n{shown}"


def _text(writer: Writer, ids: list[int]) -> str:
    return writer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
