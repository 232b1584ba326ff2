"""One Lightning module for all datasets and formats: loss on the answer, scores by decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from lightning import LightningModule
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from aullava.config.schema import OptimConfig
from aullava.decoding.decoder import Decoder, Reference
from aullava.evaluation.scores import ScoreBook
from aullava.models.half import drop_halves, keep_halves
from aullava.models.narrow_lora import NarrowLora
from aullava.models.vlm import FaceLanguageModel
from aullava.text.answer import Answer
from aullava.text.batch import UNSUPERVISED, AUBatch, PromptBatch
from aullava.text.collate import Collator
from aullava.training.optim import build_optimizer
from aullava.training.processes import total
from aullava.training.strategies import bring_together, share_out, take_apart
from datamodules.action_units import UNKNOWN, Scale

HALVES: Final = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""What products are computed in, by Lightning's word for mixed precision."""

Rows = tuple[Tensor, Tensor, Tensor, Tensor]
"""Keys [N], answers, labels and probabilities [N, A] of a dataset, as `ScoreBook.rows` gives them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one dataset: name, codes, scale and, for one more F1, its own thresholds."""

    name: str
    aus: tuple[str, ...]
    scale: Scale
    present_from: tuple[float, ...] | None = None


class Kept(Protocol):
    """Features that need not be computed (`aullava.kept_features.KeptFeatures`)."""

    def of(self, batch: AUBatch) -> Tensor:
        """Those of the pictures of a training batch [P, N, D], on its device."""
        ...


class AULightningModule(LightningModule):
    """Trains projector and LoRA; validates and tests by decoding answers.

    Args:
        model: vision encoder, projector, language model.
        collator: writes the questions.
        datasets: what is asked of each dataset, in the order of the evaluation loaders.
        optim: learning rates, warm-up, decay, weights of the formats' losses.
        max_steps: optimiser steps of the run, for the schedule.
        decoder: writes the answers that are scored; None: the reference.
        expectation: whether intensities are scored by their expectation instead of the number written.

    Attributes:
        scores: of the last validation or test; `rows`: what they were made of, by dataset; `rows_step`: the
            step of the weights that gave them. `kept`: features of all training faces; None: they are
            encoded at every step.
    """

    def __init__(
        self,
        model: FaceLanguageModel,
        collator: Collator,
        datasets: Sequence[Asked],
        optim: OptimConfig,
        max_steps: int,
        decoder: Decoder | None = None,
        expectation: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.collator = collator
        self.datasets = tuple(datasets)
        self.optim = optim
        self.max_steps = max_steps
        self.decoder = Reference(model, collator) if decoder is None else decoder
        self.expectation = expectation
        self.books = nn.ModuleList(ScoreBook(one.aus, one.scale, one.present_from) for one in datasets)
        # Intensities are also scored as the reading that does not count.
        amounts = [one for one in datasets if one.scale is Scale.INTENSITY]
        self.other_books = nn.ModuleList(ScoreBook(one.aus, one.scale, one.present_from) for one in amounts)
        self.uncertified = nn.ModuleList(MeanMetric() for _ in datasets)
        self.scores: dict[str, float] = {}
        self.rows: dict[str, Rows] = {}
        self.rows_step = -1
        self.kept: Kept | None = None
        self._narrow: NarrowLora | None = None
        # Frozen weights are not in a checkpoint, and so not missed when it is loaded.
        self.strict_loading = False

    def configure_model(self) -> None:
        """Share the weights out, if the strategy says so (FSDP2)."""
        if self.device_mesh is not None and not isinstance(self.model, FSDPModule):
            share_out(self.model, self.device_mesh["data_parallel"])

    def on_train_start(self) -> None:
        """Make the steps cheaper, the same products in fewer operations; not where weights lie in pieces."""
        if isinstance(self.trainer.strategy, FSDPStrategy | ModelParallelStrategy):
            return
        self._narrow = NarrowLora(self.model)
        half = HALVES.get(str(self.trainer.precision))
        if half is not None:
            keep_halves(self.model, half)

    def on_train_end(self) -> None:
        """Leave the model as it was."""
        drop_halves(self.model)
        if self._narrow is not None:
            self._narrow.undo()
            self._narrow = None

    def training_step(self, batch: AUBatch, batch_idx: int) -> Tensor:
        """Cross-entropy of one batch's answers, times their format's weight, by the tokens of all processes.

        Strategies average gradients over processes. A process with more tokens than others must count for
        more, so its loss is scaled by its share of all tokens, times the processes.
        """
        features = None if self.kept is None else self.kept.of(batch)
        output = self.model(**batch.inputs(), features=features)
        assert output.losses is not None
        formats = tuple(dict.fromkeys(batch.scales))  # the same in all processes: they draw from one dataset
        own = loss_by_format(output.losses, batch, formats)
        sums = total(own.detach())
        for scale, (loss, tokens) in zip(formats, sums, strict=True):
            self.log(f"train/loss/{scale}", loss / tokens)
        loss, tokens = sums.sum(0)
        self.log("train/loss", loss / tokens, prog_bar=True)
        weights = own.new_tensor([getattr(self.optim.loss_weight, scale) for scale in formats])
        share: Tensor = (own[:, 0] * weights).sum() * (self.trainer.world_size / tokens)
        return share

    def on_validation_start(self) -> None:
        """Have whole weights at hand: answers take many short passes."""
        bring_together(self.model)

    def on_validation_end(self) -> None:
        """Share them out again."""
        take_apart(self.model)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Scale gradients down by their norm over all processes; the older engine knows it itself (FSDP)."""
        root = self.trainer.strategy.model
        if isinstance(root, FullyShardedDataParallel):
            if gradient_clip_val:
                root.clip_grad_norm_(gradient_clip_val)
            return
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def validation_step(
        self, batch: PromptBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, list[Answer]]:
        """Answers of one batch, added to the scores of its dataset."""
        return self._score(batch, dataloader_idx)

    def test_step(
        self, batch: PromptBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, list[Answer]]:
        """Answers of one batch, added to the scores of its dataset."""
        return self._score(batch, dataloader_idx)

    def on_validation_epoch_start(self) -> None:
        """The weights may have changed."""
        self.decoder.forget()

    def on_test_epoch_start(self) -> None:
        """The weights may have changed."""
        self.decoder.forget()

    def on_validation_epoch_end(self) -> None:
        """Log all scores of a validation."""
        self._close("val")

    def on_test_epoch_end(self) -> None:
        """Log all scores of a test."""
        self._close("test")

    def configure_optimizers(self) -> Any:
        """AdamW and its schedule, moved on at every optimiser step."""
        optimizer, schedule = build_optimizer(self.model, self.optim, self.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what is trained and nothing that is frozen."""
        trained = {f"model.{name}" for name in self.model.trainable_state_dict()}
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: tensor for name, tensor in state.items() if name in trained}

    def _score(self, batch: PromptBatch, dataset: int) -> dict[str, list[Answer]]:
        answers = self.decoder.answers(batch)
        # Answers that free decoding would not have written: without a grammar they could not be read.
        sure = [answer.certified for answer in answers]
        if None not in sure:
            self.uncertified[dataset](torch.tensor([0.0 if one else 1.0 for one in sure], device=self.device))
        probabilities = answered_probabilities(answers, batch)
        for book, expectation in self._books(dataset):
            book.update(
                answered_values(answers, batch, expectation),
                batch.targets,
                probabilities=probabilities,
                ids=batch.sample_ids,
            )
        return {"answers": answers}

    def _books(self, dataset: int) -> list[tuple[ScoreBook, bool]]:
        """The score books of a dataset, each with whether it scores expectations."""
        book, *others = self.books[dataset], *self._other(dataset)
        assert isinstance(book, ScoreBook)
        if not others:
            return [(book, False)]
        return [(book, self.expectation), (others[0], not self.expectation)]

    def _other(self, dataset: int) -> list[ScoreBook]:
        """The book of the reading that does not count; none but for intensities."""
        amounts = [place for place, one in enumerate(self.datasets) if one.scale is Scale.INTENSITY]
        if dataset not in amounts:
            return []
        book = self.other_books[amounts.index(dataset)]
        assert isinstance(book, ScoreBook)
        return [book]

    def _close(self, stage: str) -> None:
        """Scores of all datasets under ``<stage>/<dataset>/<score>``."""
        self.scores, self.rows, self.rows_step = {}, {}, self.global_step
        for asked, book, share in zip(self.datasets, self.books, self.uncertified, strict=True):
            assert isinstance(book, ScoreBook)
            assert isinstance(share, MeanMetric)
            if share.update_called:
                self.scores[f"{stage}/{asked.name}/uncertified_rate"] = float(share.compute())
                share.reset()
            self.scores |= {f"{stage}/{asked.name}/{name}": value for name, value in book.compute().items()}
            self.rows[asked.name] = book.rows()
            book.reset()
            for other in self._other(self.datasets.index(asked)):
                kind = f"{stage}/{asked.name}/by_{'mode' if self.expectation else 'expectation'}"
                means = {name: value for name, value in other.compute().items() if name.endswith("_macro")}
                self.scores |= {f"{kind}/{name}": value for name, value in means.items()}
                other.reset()
        self.log_dict({key: value for key, value in self.scores.items() if np.isfinite(value)})


def loss_by_format(losses: Tensor, batch: AUBatch, formats: Sequence[Scale]) -> Tensor:
    """Sums of the losses of each format and how many they are, float32 [F, 2].

    Args:
        losses: [K], of all supervised positions, row by row.
        batch: whose.
        formats: all that occur in it.
    """
    rows = (batch.labels[:, 1:] != UNSUPERVISED).nonzero()[:, 0]
    column = torch.tensor([formats.index(scale) for scale in batch.scales], device=losses.device)[rows]
    pairs = torch.stack([losses.float(), torch.ones_like(losses, dtype=torch.float32)], 1)
    return pairs.new_zeros(len(formats), 2).index_add_(0, column, pairs)


def answered_values(answers: Sequence[Answer], batch: PromptBatch, expectation: bool = False) -> Tensor:
    """The answers in the columns of the targets, float32 [B, A]; UNKNOWN where nothing was asked or read.

    Args:
        answers: of the batch.
        batch: of one dataset.
        expectation: take the expectation of each answer instead of what it says.
    """
    said = [answer.expected if expectation and answer.valid else answer.values for answer in answers]
    return _in_columns(said, answers, batch)


def answered_probabilities(answers: Sequence[Answer], batch: PromptBatch) -> Tensor:
    """The probabilities beside the answers, float32 [B, A]; UNKNOWN where there is none."""
    known = [np.nan_to_num(answer.slot_probs, nan=UNKNOWN) for answer in answers]
    return _in_columns(known, answers, batch)


def _in_columns(rows: Sequence[np.ndarray], answers: Sequence[Answer], batch: PromptBatch) -> Tensor:
    values = torch.full_like(batch.targets, UNKNOWN, device="cpu")
    for row, (said, answer, aus) in enumerate(zip(rows, answers, batch.aus, strict=True)):
        values[row, [aus.index(code) for code in answer.aus]] = torch.from_numpy(said)
    return values.to(batch.targets.device)
