"""Features of the training faces, encoded once and mapped from disk (`vision.cache_dir`).

One file per dataset holds the features of its training faces in the encoder's own dtype, one face after the
other. Its name carries a fingerprint of all that decides them, so that a file is never read by a run that
would encode otherwise. It is written under a temporary name and renamed when it is complete. Processes that
map the same file share its pages in memory.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from aullava.config.schema import Config
from aullava.features import FaceFeatures
from aullava.models.vision import ImagePreprocessor, VisionEncoder
from aullava.text.batch import AUBatch
from aullava.training.errors import RunError
from aullava.training.module import HALVES, AULightningModule
from aullava.training.processes import Processes, device_of
from datamodules.base import AUDataModule
from datamodules.mixture import Mixture
from datamodules.whole_file import whole_file

_DIGITS = 16
_WAIT = 0.2
"""Seconds between two looks of a process that waits for the one that writes."""


class KeptFeatures:
    """Features of training faces by dataset and sample id.

    Args:
        tables: for each dataset the features of its faces [F, N, D] and their sample ids.
    """

    def __init__(self, tables: Mapping[str, tuple[Tensor, Sequence[str]]]) -> None:
        self._tables = {
            name: (features, {sample: place for place, sample in enumerate(ids)})
            for name, (features, ids) in tables.items()
        }

    def of(self, batch: AUBatch) -> Tensor:
        """Features [P, N, D] of the pictures of a training batch, on its device."""
        pictures = batch.pictures.tolist()
        firsts = [pictures.index(number) for number in range(len(batch.pixel_values))]
        found = []
        for row in firsts:
            features, places = self._tables[batch.datasets[row]]
            found.append(features[places[batch.sample_ids[row]]])
        return torch.stack(found).to(batch.pixel_values.device)


def keep_features(config: Config, module: AULightningModule, data: Mixture, processes: Processes) -> None:
    """Hand a module the features of all training faces; one process of each machine encodes what is missing.

    Args:
        config: of the run; nothing is done if it wants no cache, or shows other pixels at every turn.
        module: whose encoder it is.
        data: set up.
        processes: of the job.

    Raises:
        RunError: the folder cannot be written to, or has no room for them.
    """
    if config.vision.cache_dir is None:
        return
    if config.data.flip > 0:
        print(
            f"vision.cache_dir is not used: data.flip={config.data.flip:g} mirrors faces, and so changes "
            "their features: write data.flip=0 to use it"
        )
        return
    encoder, preprocess = module.model.vision, module.collator.preprocess
    assert isinstance(preprocess, ImagePreprocessor)
    folder, decided = Path(config.vision.cache_dir).expanduser(), _decided(config, encoder, preprocess)
    encoder.to(device_of(config.trainer.accelerator))
    tables = {}
    for one in data.datasets:
        rows = one.rows("train")
        ids = one.index.sample_ids[list(rows)].tolist()
        digest = hashlib.sha256(repr((decided, one.pictures(), ids)).encode()).hexdigest()[:_DIGITS]
        path = folder / f"{one.name}-{digest}.features"
        shape, dtype = (len(ids), encoder.num_tokens, encoder.dim), next(encoder.parameters()).dtype
        size = math.prod(shape) * dtype.itemsize
        if processes.local_rank == 0 and not _whole(path, size):
            half = HALVES.get(config.trainer.precision)
            write_features(path, shape, dtype, _encoded(FaceFeatures(encoder, preprocess), one, rows, half))
        while not _whole(path, size):  # no barrier: encoding may take longer than one waits for a partner
            time.sleep(_WAIT)
        tables[one.name] = (open_features(path, shape, dtype), ids)
    module.kept = KeptFeatures(tables)


def write_features(
    path: Path, shape: tuple[int, int, int], dtype: torch.dtype, batches: Iterable[Tensor]
) -> None:
    """Write features under a temporary name, have them on the disk, rename them.

    Args:
        path: of the file; its folder is made.
        shape: F faces, N tokens, D numbers of each.
        dtype: of the numbers.
        batches: [some, N, D], together F faces; asked for when there is room for all of them.

    Raises:
        RunError: the file cannot be written there, or the disk has no room for it.
    """
    size = math.prod(shape) * dtype.itemsize
    with _told(path, size):
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as draft:
        with _told(path, size), draft.open("wb") as file:
            # Otherwise a disk that is full later would end the process without a word: the file is mapped.
            os.posix_fallocate(file.fileno(), 0, size)
        kept, done = open_features(draft, shape, dtype, writable=True), 0
        for batch in batches:
            kept[done : done + len(batch)] = batch
            done += len(batch)
        del kept


def open_features(
    path: Path, shape: tuple[int, int, int], dtype: torch.dtype, writable: bool = False
) -> Tensor:
    """Features [F, N, D], mapped: nothing is read before it is needed."""
    mapped = torch.from_file(str(path), shared=writable, size=math.prod(shape), dtype=dtype)
    return mapped.view(shape)


def _encoded(
    features: FaceFeatures, data: AUDataModule, rows: Sequence[int], half: torch.dtype | None
) -> Iterable[Tensor]:
    """Features as a training step would compute them, a batch at a time, under a bar."""
    device = next(features.encoder.parameters()).device
    bar = tqdm(total=len(rows), desc=f"encoding {data.name}", unit="face", leave=False)
    with bar, nullcontext() if half is None else torch.autocast(device.type, half):
        for batch in features.encoded(data, rows):
            yield batch
            bar.update(len(batch))


def _decided(config: Config, encoder: VisionEncoder, preprocess: ImagePreprocessor) -> str:
    """A hash of what decides the features of a picture: weights, layers, tokens, arithmetic, pixels."""
    digest = hashlib.sha256()
    about = (encoder.layers, encoder.num_tokens, encoder.prefix_tokens, config.trainer.precision)
    pixels = json.dumps(preprocess.processor.to_dict(), sort_keys=True, default=str)
    digest.update(repr((type(encoder.model).__name__, about, preprocess.size, pixels)).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _whole(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


@contextmanager
def _told(path: Path, size: int) -> Iterator[None]:
    """Say in one sentence what the system does not allow."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"vision.cache_dir: {path} ({size / 2**30:.2f} GiB) cannot be written ({error.strerror}): make "
            "room, name another folder, or write vision.cache_dir=null"
        ) from None
