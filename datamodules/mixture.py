"""Several datasets as one: each keeps its own codes, scale and people, and gets its share of the batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from lightning import LightningDataModule

from datamodules.base import AUDataModule, Collate, draw_loader
from datamodules.options import LoaderSettings


class Mixture(LightningDataModule):
    """The datasets of one unified model.

    Training batches come from all of them in turn, by weight. Validation and test have one loader per
    dataset, in the order of `members`, since scores are never mixed.

    Args:
        members: the datasets.
        loading: batch sizes, workers, seed.
    """

    def __init__(self, members: Sequence[AUDataModule], loading: LoaderSettings) -> None:
        super().__init__()
        self.members = tuple(members)
        self.loading = loading
        self._collate: Collate = list

    def connect(self, collate: Collate, collate_eval: Collate | None = None) -> None:
        """Hand in what makes batches; see `AUDataModule.connect`."""
        self._collate = collate
        for member in self.members:
            member.connect(collate, collate_eval)

    def prepare_data(self) -> None:
        """Let every dataset prepare its files; called by Lightning in one process."""
        for member in self.members:
            member.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Read all labels and check all splits."""
        for member in self.members:
            member.setup(stage)

    def fingerprint(self) -> str:
        """A short hash of all members' fingerprints."""
        parts = sorted((member.name, member.fingerprint()) for member in self.members)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def train_dataloader(self) -> Any:
        """Endless batches, each of one dataset."""
        rows = [member.rows("train") for member in self.members]
        weights = [member.settings.weight for member in self.members]
        return draw_loader(self.members, rows, weights, self.loading, self._collate, self.trainer)

    def val_dataloader(self) -> Any:
        """One loader per dataset."""
        return [member.eval_loader("val") for member in self.members]

    def test_dataloader(self) -> Any:
        """One loader per dataset."""
        return [member.eval_loader("test") for member in self.members]
