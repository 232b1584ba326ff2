"""Several datasets as one: each keeps its own codes, scale and people, and gets its share of the batches."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from lightning import LightningDataModule

from datamodules.balance import rare_weights
from datamodules.base import AUDataModule
from datamodules.errors import DatasetError
from datamodules.formats import in_formats, present_labels
from datamodules.loaders import Collate, draw_loader
from datamodules.options import LoaderSettings, MixtureSettings
from datamodules.overlaps import Members, check_apart, without_overlaps
from datamodules.sampling import Turns, normed, shares
from datamodules.together import Together

logger = logging.getLogger(__name__)


class Mixture(LightningDataModule):
    """The datasets of one unified model, each in one or more answer formats.

    Training batches come from all of them in turn, by weight; a face is asked in all formats of its dataset
    at once, or each format has batches of its own (`MixtureSettings.shared_image`). Validation and test have
    one loader per dataset and format, in the order of `members`, since scores are never mixed.

    Args:
        datasets: the datasets.
        loading: batch sizes, workers, seed.
        mixing: temperature, balance, and what happens to people that two datasets share.

    Attributes:
        datasets: as given.
        members: what is asked: every dataset once for each of its formats.
        drawn: what training batches come from: every dataset with all its formats, or one by one.

    Raises:
        DatasetError: a dataset stands twice, or is asked for a format that it cannot give.
    """

    def __init__(
        self,
        datasets: Sequence[AUDataModule],
        loading: LoaderSettings,
        mixing: MixtureSettings = MixtureSettings(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__()
        names = [one.name for one in datasets]
        for name in names:
            if names.count(name) > 1:
                raise DatasetError(f"dataset '{name}' stands twice in one mixture: take one of the two out")
        self.datasets = tuple(datasets)
        asked = [in_formats(one) for one in datasets]
        self.members = tuple(member for formats in asked for member in formats)
        self.drawn = tuple(
            Together(one, questions)
            for one, formats in zip(datasets, asked, strict=True)
            for questions in ([formats] if mixing.shared_image else [[member] for member in formats])
        )
        self.loading = loading
        self.mixing = mixing
        self._collate: Collate = list
        self._turns = Turns.at_the_beginning(len(self.drawn))
        self._training: list[Sequence[int]] = []

    def connect(self, collate: Collate, collate_eval: Collate | None = None) -> None:
        """Hand in what makes batches; see `AUDataModule.connect`."""
        self._collate = collate
        for member in self.members:
            member.connect(collate, collate_eval)

    def state_dict(self) -> dict[str, Any]:
        """Where training stands: whose turn it is after the optimiser steps that the trainer has done."""
        assert self.trainer is not None
        weights = normed(self.shares())
        while self._turns.batch < self.trainer.global_step * self.trainer.accumulate_grad_batches:
            self._turns.take(weights)
        return asdict(self._turns)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave: nothing that was taken before is read again."""
        self._turns = Turns(**state_dict)

    def prepare_data(self) -> None:
        """Let every dataset prepare its files; called by Lightning in one process."""
        for one in self.datasets:
            one.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Read all labels, check all splits, and that nobody is in different parts of two datasets.

        Raises:
            SubjectLeakError: somebody is, and `MixtureSettings.shared_people` says to refuse that.
        """
        self._training = []
        for one in self.datasets:
            one.setup(stage)
        people = [Members(one.name, one.split, one.identity) for one in self.datasets]
        if self.mixing.shared_people == "refuse":
            check_apart(people)
            return
        splits, left_out = without_overlaps(people)
        for one in self.datasets:
            one.keep(splits[one.name])
            if left_out[one.name]:
                gone = ", ".join(left_out[one.name])
                logger.warning("dataset '%s': left out, since tested elsewhere: %s", one.name, gone)

    def teardown(self, stage: str | None = None) -> None:
        """Gather what was found while pictures were read; called by Lightning in every process."""
        for one in self.datasets:
            one.teardown(stage)

    def fingerprint(self) -> str:
        """A short hash of all members' fingerprints."""
        parts = sorted((member.name, member.fingerprint()) for member in self.members)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def shares(self) -> tuple[float, ...]:
        """The share of the training batches of each of `drawn`; the formats of a dataset share its part."""
        datasets = [one.dataset for one in self.drawn]
        weights = [one.settings.weight / datasets.count(one) for one in datasets]
        return shares(weights, [len(rows) for rows in self._training_rows()], self.mixing.temperature)

    def train_dataloader(self) -> Any:
        """Endless batches, each of one dataset, in one or in all of its formats."""
        rows, weights = self._training_rows(), None
        if self.mixing.balance == "rare":
            weights = [_rare(one.dataset, some) for one, some in zip(self.drawn, rows, strict=True)]
        start = self._turns.copy()
        return draw_loader(
            self.drawn, rows, self.shares(), self.loading, self._collate, self.trainer, weights, start
        )

    def _training_rows(self) -> list[Sequence[int]]:
        """The training faces of each of `drawn`, looked up once after each `setup`: checkpoints ask too."""
        if not self._training:
            self._training = [one.dataset.rows("train") for one in self.drawn]
        return self._training

    def val_dataloader(self) -> Any:
        """One loader per dataset and format."""
        return [member.eval_loader("val", self.trainer) for member in self.members]

    def test_dataloader(self) -> Any:
        """One loader per dataset and format."""
        return [member.eval_loader("test", self.trainer) for member in self.members]


def _rare(member: AUDataModule, rows: Sequence[int]) -> npt.NDArray[np.float64]:
    """How often each training row of a member is drawn when rare Action Units come more often."""
    return rare_weights(present_labels(member)[np.asarray(rows)])
