"""What the frozen encoder makes of faces of a dataset, computed once where datasets share their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from aullava.models.vision import VisionEncoder
from datamodules.base import AUDataModule


class FaceFeatures:
    """Features of rows of datasets; those of the same pictures are kept.

    Args:
        encoder: of the run; an adapter on it is left out.
        preprocess: its image preprocessor.
    """

    def __init__(self, encoder: VisionEncoder, preprocess: Callable[[list[np.ndarray]], Tensor]) -> None:
        self.encoder = encoder
        self.preprocess = preprocess
        self._kept: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def of(self, data: AUDataModule, rows: Sequence[int]) -> Tensor:
        """Features of all patches of the faces in some rows of the index, float32 [N, P, D] on the CPU."""
        key = (data.pictures(), tuple(rows))
        if key not in self._kept:
            self._kept[key] = self._all(data, rows)
        return self._kept[key]

    def _all(self, data: AUDataModule, rows: Sequence[int]) -> Tensor:
        """Written where they stay: joined at the end, they would lie in memory twice."""
        found, start = torch.empty(0), 0
        for batch in self.batches(data, rows):
            if not start:
                found = batch.new_empty(len(rows), *batch.shape[1:])
            found[start : start + len(batch)] = batch
            start += len(batch)
        return found

    def batches(self, data: AUDataModule, rows: Sequence[int]) -> Iterator[Tensor]:
        """The same a batch at a time, keeping none."""
        return (batch.float() for batch in self.encoded(data, rows))

    @torch.no_grad()
    def encoded(self, data: AUDataModule, rows: Sequence[int]) -> Iterator[Tensor]:
        """The same in the dtype in which the encoder gives them."""
        step = data.loading.eval_batch_size
        device = next(self.encoder.parameters()).device
        for start in range(0, len(rows), step):
            images = [data.picture(row) for row in rows[start : start + step]]
            with self.encoder.frozen():
                features = self.encoder(self.preprocess(images).to(device))
            yield features.cpu()
