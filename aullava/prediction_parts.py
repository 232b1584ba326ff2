"""Prediction in several processes: each looks at its share of the pictures, and the tables become one.

Pictures are dealt out in blocks: frames that follow each other stay together, for one is the draft of the
next. Every process passes over all frames of a video, which costs next to nothing beside asking about them.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, Final

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import distributed as dist
from tqdm import tqdm

from aullava.config.schema import StrategyConfig
from aullava.inference.errors import PredictionError
from aullava.inference.pictures import Picture
from aullava.inference.predictor import Predictor, ReadPicture
from aullava.inference.record import Record
from aullava.inference.table import skipped
from aullava.training.processes import Processes, total
from aullava.training.strategies import build_strategy
from datamodules.whole_file import whole_file

BLOCK: Final = 32
"""Pictures that follow each other and are looked at by one process; the parts of a table hang on it."""


def accelerator_for(device: str, devices: int) -> str:
    """The kind of device in Lightning's words.

    Args:
        device: auto, cpu or cuda.
        devices: how many are wanted.

    Raises:
        PredictionError: there are not so many GPUs here.
    """
    found = 0 if device == "cpu" else torch.cuda.device_count()
    if found < devices and (found or device == "cuda"):
        raise PredictionError(f"--devices is {devices}, but GPUs here: {found}: give fewer, or --device cpu")
    return "gpu" if found else "cpu"


def part(path: Path, rank: int, size: int) -> Path:
    """The table of one process: ``predictions.1of4.csv``, counted from 1."""
    return path.with_suffix(f".{rank + 1}of{size}.csv")


def refuse_other_parts(path: Path, size: int) -> None:
    """Refuse to go on with a table that another number of processes has begun.

    Args:
        path: of the table.
        size: how many processes there are now.

    Raises:
        PredictionError: says how many there were.
    """
    for found in path.parent.glob(f"{path.stem}.*of*{path.suffix}"):
        begun = found.suffixes[-2].partition("of")[2]
        if begun != str(size):
            raise PredictionError(
                f"{found} was begun by {begun} processes: give --devices {begun} --resume, or another --out"
            )
    if size > 1 and path.exists():
        raise PredictionError(
            f"{path} is there already, finished or begun by one process: give another --out, or --resume "
            "without --devices"
        )


def predict_part(
    predictor: Predictor,
    found: Iterator[Picture],
    record: Record,
    mine: Processes,
    strategy: StrategyConfig,
    accelerator: str,
) -> None:
    """Answer about this process's share, and wait for the others; the decoder's counts become those of all.

    Args:
        predictor: on the CPU; Lightning moves it to the device of this process.
        found: all pictures.
        record: keeps the answers; a part that was begun is gone on with.
        mine: this process.
        strategy: how many there are.
        accelerator: kind of device, in Lightning's words.

    Raises:
        PredictionError: the part was begun about other pictures.
    """
    share = (one for one in found if (one.number - 1) // BLOCK % mine.size == mine.rank)
    done = record.table.done
    skipped(done, (picture.name for picture in islice(share, len(done))))
    trainer = Trainer(
        accelerator=accelerator,
        devices=strategy.devices,
        strategy=build_strategy(strategy, predictor.decoder.model),
        plugins=[TorchElasticEnvironment()],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
    )
    batches = predictor.batches(share)
    if mine.writes:
        said = f"predict (process 1 of {mine.size})"
        batches = iter(tqdm(batches, unit="batch", desc=said, file=sys.stderr))
    try:
        trainer.predict(_Asking(predictor, record), batches, return_predictions=False)
    finally:
        record.table.close()
    counts = predictor.decoder.counts
    figures = torch.tensor([counts.rows, counts.passes, counts.certified])
    counts.rows, counts.passes, counts.certified = total(figures).tolist()
    dist.barrier()  # all parts are whole


class _Asking(LightningModule):
    """What Lightning brings to the device and hands the batches to."""

    def __init__(self, predictor: Predictor, record: Record) -> None:
        super().__init__()
        self.model = predictor.decoder.model
        self.predictor = predictor
        self.record = record

    def predict_step(self, batch: list[ReadPicture], batch_idx: int) -> int:
        """Ask about a batch and keep the answers; how many, since Lightning warns of None."""
        del batch_idx
        for prediction in self.predictor.answered(batch):
            self.record.add(prediction)
        return len(batch)

    def transfer_batch_to_device(
        self, batch: list[ReadPicture], device: torch.device, dataloader_idx: int
    ) -> list[ReadPicture]:
        """Pictures stay where they are; the predictor sends crops."""
        del device, dataloader_idx
        return batch


def join_parts(path: Path, size: int) -> tuple[int, str]:
    """Make one table of the parts, in the order of the pictures, and remove these.

    Returns:
        How many rows have answers, and why the last one of the others has none.
    """
    parts = [part(path, rank, size) for rank in range(size)]
    answered, reason = 0, ""
    with ExitStack() as opened:
        draft = opened.enter_context(whole_file(path))
        out = opened.enter_context(draft.open("w", newline="", encoding="utf-8"))
        readers = [csv.reader(opened.enter_context(one.open(newline="", encoding="utf-8"))) for one in parts]
        headers = [next(reader) for reader in readers]
        writer: Any = csv.writer(out, lineterminator="\n")
        writer.writerow(headers[0])
        turn = 0
        while rows := list(islice(readers[turn % size], BLOCK)):
            writer.writerows(rows)
            reasons = [row[-1] for row in rows if row[-1]]
            answered += len(rows) - len(reasons)
            reason = reasons[-1] if reasons else reason
            turn += 1
    for one in parts:
        one.unlink()
    return answered, reason
