"""From rows of an index to batches: in order for evaluation, endless and by weight for training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader, Dataset

from datamodules.options import LoaderSettings
from datamodules.sample import AUSample
from datamodules.sampling import Draw, MixtureBatches, Turns, share_of_rank
from datamodules.workers import leave_signals_to_the_trainer, own_generator

Collate = Callable[[Sequence[AUSample]], Any]


class Samples(Protocol):
    """What a loader asks of a dataset (`datamodules.base.AUDataModule`)."""

    def sample(self, row: int) -> AUSample:
        """The face of one row of the index, with its labels."""
        ...


class TrainingSamples(Protocol):
    """What is drawn from (`datamodules.together.Together`)."""

    def training_samples(self, row: int, seed: int) -> list[AUSample]:
        """The face of one row as training sees it, once for each question about it."""
        ...


class FaceRows(Dataset[AUSample]):
    """Some rows of a dataset as samples.

    Args:
        module: the dataset.
        rows: numbers of its index.
        padding: how many rows at the end only fill up; their samples are marked as padding.
    """

    def __init__(self, module: Samples, rows: Sequence[int], padding: int = 0) -> None:
        self.module = module
        self.rows = rows
        self.padding = padding

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> AUSample:
        sample = self.module.sample(int(self.rows[number]))
        return replace(sample, padding=True) if number >= len(self) - self.padding else sample


def block_loader(
    module: Samples, rows: Sequence[int], loading: LoaderSettings, collate: Collate, trainer: Any = None
) -> DataLoader[AUSample]:
    """Rows of one dataset in order: with several processes a block for each, filled up to the same length."""
    rank, world_size = rank_of(trainer)
    mine, padding = share_of_rank(rows, rank, world_size)
    return DataLoader(
        FaceRows(module, mine, padding),
        batch_size=loading.eval_batch_size,
        num_workers=loading.num_workers,
        collate_fn=collate,
        worker_init_fn=leave_signals_to_the_trainer,
        generator=own_generator(loading.seed),
    )


class _Drawn(Dataset[list[AUSample]]):
    """Training samples of several datasets by `Draw`."""

    def __init__(self, modules: Sequence[TrainingSamples], rows: Sequence[Sequence[int]]) -> None:
        self.modules = modules
        self.rows = rows

    def __getitem__(self, draw: Draw) -> list[AUSample]:
        return self.modules[draw.dataset].training_samples(self.rows[draw.dataset][draw.row], draw.seed)


class _Questions:
    """Batches all questions about the faces of a batch, face by face; a class, so that it can be pickled."""

    def __init__(self, collate: Collate) -> None:
        self.collate = collate

    def __call__(self, faces: Sequence[list[AUSample]]) -> Any:
        return self.collate([sample for face in faces for sample in face])


def draw_loader(
    modules: Sequence[TrainingSamples],
    rows: Sequence[Sequence[int]],
    weights: Sequence[float],
    loading: LoaderSettings,
    collate: Collate,
    trainer: Any = None,
    row_weights: Sequence[npt.NDArray[np.float64] | None] | None = None,
    start: Turns | None = None,
) -> DataLoader[list[AUSample]]:
    """Endless training batches over the rows of several datasets, each batch from one of them.

    See `MixtureBatches` for the arguments; rank and number of processes are the trainer's.
    """
    rank, world_size = rank_of(trainer)
    batches = MixtureBatches(
        [len(some) for some in rows],
        weights,
        loading.batch_size,
        loading.seed,
        rank,
        world_size,
        row_weights,
        start,
    )
    return DataLoader(
        _Drawn(modules, rows),
        batch_sampler=batches,
        num_workers=loading.num_workers,
        collate_fn=_Questions(collate),
        persistent_workers=loading.num_workers > 0,
        worker_init_fn=leave_signals_to_the_trainer,
        generator=own_generator(loading.seed),
    )


def rank_of(trainer: Any) -> tuple[int, int]:
    """Number of this process and number of processes; 0 and 1 without a trainer."""
    return getattr(trainer, "global_rank", 0), getattr(trainer, "world_size", 1)
