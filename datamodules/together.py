"""What training draws: a face of one dataset with the questions that are asked about it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from datamodules.base import AUDataModule
from datamodules.formats import InFormat
from datamodules.sample import AUSample


class Together:
    """The faces of one dataset, each asked in one or several formats.

    Args:
        dataset: reads the pictures.
        members: the dataset in each of the formats.
    """

    def __init__(self, dataset: AUDataModule, members: Sequence[AUDataModule]) -> None:
        self.dataset = dataset
        self.members = tuple(members)

    def training_samples(self, row: int, seed: int) -> list[AUSample]:
        """One sample for each format, all with one and the same picture, read once.

        Args:
            row: of the index.
            seed: of the augmentation.
        """
        face = self.dataset.sample(row)
        asked = [one.derived(face) if isinstance(one, InFormat) else face for one in self.members]
        changed = [self.dataset.augmented(sample, seed) for sample in asked]
        return [replace(sample, image=changed[0].image) for sample in changed]
