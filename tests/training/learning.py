"""What the tests of the training room share: a small module, its batches, and a quiet trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from lightning import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader, Dataset

from aullava.config.schema import OptimConfig
from aullava.text.batch import AUBatch, PromptBatch
from aullava.training.module import Asked, AULightningModule
from datamodules.action_units import Scale
from tests.checkpoints import Backbone, build_collator, build_model, faces
from tests.text.helpers import Face

PRESENCE = Asked("faces_presence", ("AU1", "AU2", "AU12"), Scale.PRESENCE)
INTENSITY = Asked("faces_intensity", ("AU4", "AU12L", "AU12R", "AU26"), Scale.INTENSITY)


def module_of(backbone: Backbone, steps: int, rate: float = 1e-2) -> AULightningModule:
    """A module with fresh adapters that learns two datasets."""
    optim = OptimConfig(lr_projector=rate, lr_lora=rate)
    collator = build_collator(backbone)
    return AULightningModule(build_model(backbone), collator, [PRESENCE, INTENSITY], optim, steps)


def faces_of(asked: Asked, count: int, seed: int = 0) -> list[Face]:
    """Noise pictures with random labels."""
    return faces(count, " ".join(asked.aus), asked.scale, seed)


def batch_of(module: AULightningModule, asked: Asked, count: int = 4) -> AUBatch:
    """A training batch."""
    return module.collator(faces_of(asked, count))


def prompts_of(module: AULightningModule, asked: Asked, count: int = 4) -> PromptBatch:
    """A batch to be answered."""
    return module.collator.prompts(faces_of(asked, count))


def loader(batches: Sequence[PromptBatch]) -> DataLoader[PromptBatch]:
    """Feeds ready batches, one after the other."""
    return DataLoader(cast(Dataset[PromptBatch], batches), batch_size=None)


def trainer_of(
    steps: int, callbacks: Sequence[Callback] = (), folder: Path | None = None, **more: Any
) -> Trainer:
    """A trainer on the CPU that writes nothing but, below a folder, TensorBoard's events."""
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "max_steps": steps,
        "log_every_n_steps": 1,
        "num_sanity_val_steps": 0,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
        "logger": False if folder is None else TensorBoardLogger(folder, name="tensorboard", version=""),
        "callbacks": list(callbacks),
    }
    return Trainer(**(settings | more))


def events_of(folder: Path) -> EventAccumulator:
    """All that was written to TensorBoard below a folder."""
    events = EventAccumulator(
        str(folder / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0, "images": 0}
    )
    events.Reload()
    return events
