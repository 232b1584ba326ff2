"""Two ways of training on the same samples: ours, and transformers' Trainer on a LLaVA with PEFT."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning import Callback
from lightning import Trainer as LightningTrainer
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    CLIPVisionModel,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from aullava.config.schema import OptimConfig
from aullava.kept_features import KeptFeatures, open_features, write_features
from aullava.models.adapters import add_lora
from aullava.models.llm import load_llm
from aullava.models.projector import build_projector
from aullava.models.vision import load_vision
from aullava.models.vlm import FaceLanguageModel
from aullava.text.batch import AUBatch
from aullava.training.callbacks.guards import FiniteSteps, GradientCoverage
from aullava.training.module import AULightningModule
from benchmarks.learning.shapes import ALPHA, LAYER, RANK, RATE, TARGETS, Shape, build_collator
from datamodules.sample import AUSample


@dataclass
class Record:
    """What a turn gave: the loss of each step, and the seconds of each but the first."""

    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    _last: float | None = None

    def step(self, loss: float) -> None:
        """A step has ended."""
        now = clock()
        if self._last is not None:
            self.seconds.append(now - self._last)
        self._last = now
        self.losses.append(loss)


def clock() -> float:
    """Seconds of work: of the processor, which others may use too; of the wall where a GPU does the work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


class Way(Protocol):
    """One way of training; it keeps its weights from turn to turn."""

    trained: nn.Module

    def run(self, samples: Iterator[AUSample], steps: int) -> Record:
        """Learn from the next samples."""
        ...

    def loss(self, samples: Sequence[AUSample]) -> Tensor:
        """The loss of one batch, with what its backward pass needs."""
        ...


class Watch(Callback):
    """Notes Lightning's steps."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        """A step."""
        self.record.step(float(trainer.callback_metrics["train/loss"]))


class Ours:
    """The module, callbacks and collator of `aullava fit`.

    Args:
        shape: of the models.
        folder: where they lie.
        rows: samples of a batch.
        precision: Lightning's word.
        shared: whether the questions about an image share it; else each has one of its own.
        kept: whether the encoder's features are mapped from disk; what it takes to write them is not counted.
    """

    def __init__(
        self, shape: Shape, folder: Path, rows: int, precision: str, shared: bool = True, kept: bool = False
    ) -> None:
        torch.manual_seed(1)
        vision = load_vision(str(folder / "vision"), LAYER)
        llm = load_llm(str(folder / "llm"))
        projector = build_projector("mlp", vision.dim, shape.width)
        self.model = FaceLanguageModel(vision, projector, add_lora(llm, RANK, ALPHA, 0.0, TARGETS)).train()
        self.collator = build_collator(shape, folder)
        self.rows, self.precision, self.shared = rows, precision, shared
        self.file = folder / "noise.features" if kept else None
        optim = OptimConfig(lr_projector=RATE, lr_lora=RATE, warmup=0.0, min_lr=1.0)  # a constant rate
        self.trained = self.module = AULightningModule(self.model, self.collator, [], optim, 10**6)

    def run(self, samples: Iterator[AUSample], steps: int) -> Record:
        """Learn from the next samples."""
        record = Record()
        trainer = LightningTrainer(
            max_steps=steps,
            precision=self.precision,
            gradient_clip_val=1.0,
            callbacks=[GradientCoverage(), FiniteSteps(), Watch(record)],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        rows = list(itertools.islice(samples, steps * self.rows))
        if self.file is not None:
            self.module.kept = self._kept(rows, self.file)
        trainer.fit(self.module, DataLoader(rows, batch_size=self.rows, collate_fn=self._collate))
        return record

    def _kept(self, samples: Sequence[AUSample], path: Path) -> KeptFeatures:
        """The features of samples, on disk as `vision.cache_dir` has them."""
        images = {one.sample_id: one.image for one in samples}
        pixels = self.collator.preprocess(list(images.values())).split(self.rows)
        vision, mixed = self.model.vision, torch.bfloat16 if self.precision == "bf16-mixed" else None
        shape, dtype = (len(images), vision.num_tokens, vision.dim), next(vision.parameters()).dtype
        with torch.no_grad(), torch.autocast("cpu", mixed, enabled=mixed is not None):
            write_features(path, shape, dtype, (vision(some) for some in pixels))
        return KeptFeatures({samples[0].dataset: (open_features(path, shape, dtype), list(images))})

    def _collate(self, samples: Sequence[AUSample]) -> AUBatch:
        if not self.shared:  # pictures are shared where they are the same object
            samples = [replace(one, image=one.image.copy()) for one in samples]
        return self.collator(samples)

    def loss(self, samples: Sequence[AUSample]) -> Tensor:
        """The loss of one batch."""
        batch = self._collate(samples)
        output = self.model(**batch.inputs())
        assert output.loss is not None
        return output.loss


class PeerTrainer(Trainer):
    """Takes the batches in their order."""

    loader: DataLoader[Any]

    def get_train_dataloader(self) -> DataLoader[Any]:
        """As it was set."""
        return self.loader


class PeerWatch(TrainerCallback):
    """Notes the peer's steps."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """A step, once its loss is known."""
        if "loss" in logs:
            self.record.step(float(logs["loss"]))


class Peer:
    """LlavaForConditionalGeneration with PEFT's LoRA under transformers' Trainer, as LLaVA's users train it.

    One question a row, rows padded to the longest, logits of the whole sequence. Weights, LoRA's start
    included, are copied from `ours`.
    """

    def __init__(self, shape: Shape, folder: Path, rows: int, precision: str, ours: Ours) -> None:
        vision = CLIPVisionModel.from_pretrained(folder / "vision")
        llm = LlamaForCausalLM.from_pretrained(folder / "llm")
        self.image_id = shape.vocabulary - 1  # stands in no question of ours
        config = LlavaConfig(
            vision_config=vision.config,
            text_config=llm.config,
            image_token_id=self.image_id,
            vision_feature_layer=LAYER,
            image_seq_length=shape.image_tokens,
        )
        llava = LlavaForConditionalGeneration(config)
        llava.model.vision_tower.load_state_dict(vision.state_dict())
        llava.model.language_model.load_state_dict(llm.model.state_dict())
        llava.lm_head.load_state_dict(llm.lm_head.state_dict())
        mine = ours.model.projector.state_dict()
        llava.model.multi_modal_projector.load_state_dict(mine)
        names = "|".join(TARGETS)
        lora = LoraConfig(
            r=RANK, lora_alpha=ALPHA, target_modules=rf".*language_model.*\.({names})", task_type="CAUSAL_LM"
        )
        self.trained = get_peft_model(llava, lora)
        llava.model.multi_modal_projector.requires_grad_(True)
        _same_lora(ours.model.llm, self.trained)
        self.collator, self.rows, self.precision = ours.collator, rows, precision

    def run(self, samples: Iterator[AUSample], steps: int) -> Record:
        """Learn from the next samples."""
        record = Record()
        arguments = TrainingArguments(
            output_dir="/nonexistent",
            max_steps=steps,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_grad_norm=1.0,
            optim="adamw_torch",
            per_device_train_batch_size=self.rows,
            bf16=self.precision == "bf16-mixed",
            use_cpu=not torch.cuda.is_available(),
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        trainer = PeerTrainer(self.trained, arguments, callbacks=[PeerWatch(record)])
        trainer.remove_callback(PrinterCallback)
        rows = list(itertools.islice(samples, steps * self.rows))
        trainer.loader = DataLoader(rows, batch_size=self.rows, collate_fn=self._collate)
        trainer.train()
        return record

    def loss(self, samples: Sequence[AUSample]) -> Tensor:
        """The loss of one batch."""
        loss: Tensor = self.trained(**self._collate(samples)).loss
        return loss

    def _collate(self, samples: Sequence[AUSample]) -> dict[str, Tensor]:
        # Pictures are shared where they are the same object: here every row has its own.
        batch = self.collator([replace(one, image=one.image.copy()) for one in samples])
        return {
            "pixel_values": batch.pixel_values,
            "input_ids": batch.input_ids.masked_fill(batch.image_mask, self.image_id),
            "attention_mask": batch.attention_mask,
            "labels": batch.labels,
        }


def _same_lora(ours: nn.Module, peer: nn.Module) -> None:
    """Give the peer our LoRA weights, layer by layer."""
    mine = {name.partition("layers.")[2]: one for name, one in ours.named_parameters() if "lora_" in name}
    with torch.no_grad():
        for name, one in peer.named_parameters():
            if "lora_" in name:
                one.copy_(mine.pop(name.partition("layers.")[2]))
    assert not mine


def saved_bytes(way: Way, samples: Sequence[AUSample], precision: str) -> int:
    """Bytes that the forward pass keeps for the backward pass, the weights left out."""
    weights = {one.untyped_storage().data_ptr() for one in way.trained.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    mixed = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed")
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), mixed:
        loss = way.loss(samples)
        found = sum(kept.values())  # while all of it is alive: no address stands for two
    del loss
    return found
