"""The contract of a dataset: say where the faces are and what the labels mean, get the loaders for nothing.

A dataset is one small class: class attributes that describe it, `build_index` (the table of all labelled
faces) and `load_image` (one picture). Splits, checks, augmentation, loaders and fingerprints are the same for
all and live here.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from datamodules.action_units import Scale
from datamodules.errors import DatasetError, MissingRootError, nearest
from datamodules.index import Index, check_index, chosen_columns
from datamodules.options import DatasetSettings, LoaderSettings
from datamodules.protocols import Protocol, Split
from datamodules.sample import AUSample
from datamodules.sampling import Draw, MixtureBatches, spread
from datamodules.transforms import TrainTransform

Collate = Callable[[Sequence[AUSample]], Any]


class FaceRows(Dataset[AUSample]):
    """Some rows of a dataset as samples.

    Args:
        module: the dataset.
        rows: numbers of its index.
    """

    def __init__(self, module: AUDataModule, rows: Sequence[int]) -> None:
        self.module = module
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> AUSample:
        return self.module.sample(int(self.rows[number]))


class AUDataModule(LightningDataModule):
    """One Action Unit dataset.

    Args:
        settings: which root, codes, protocol and fold.
        loading: batch sizes, workers, augmentation.
    """

    name: str
    """Registered name."""
    aus: ClassVar[tuple[str, ...]] = ()
    """Codes of the label columns, in order; empty if the files decide."""
    scale: ClassVar[Scale | None] = None
    """What the labels mean; None if the options decide."""
    protocols: ClassVar[tuple[str, ...]]
    """Names of its protocols, the default first."""
    licence: ClassVar[str]
    """Licence, and where to ask for access, in one line."""
    layout: ClassVar[str]
    """The files it expects, as a drawing."""
    log_images: ClassVar[bool] = False
    """Whether its faces may be shown in TensorBoard and reports."""
    needs_root: ClassVar[bool] = True
    """Whether the user must say where the files are."""

    def __init__(self, settings: DatasetSettings, loading: LoaderSettings) -> None:
        super().__init__()
        self.settings = settings
        self.loading = loading
        self._collate: Collate = list
        self._collate_eval: Collate = list
        self._transform = TrainTransform(loading.flip)
        self._index: Index | None = None
        self._split: Split | None = None

    # What a dataset says about itself -----------------------------------------------------------------------

    @abstractmethod
    def build_index(self) -> Index:
        """Read the label files (never a picture) into one table with a column for each of `coded_aus`."""

    @abstractmethod
    def load_image(self, place: str) -> npt.NDArray[np.uint8]:
        """The picture at a `place` of the index, RGB uint8 [H, W, 3]."""

    @abstractmethod
    def protocol(self, name: str, subjects: Sequence[str]) -> Protocol:
        """The protocol of this name for these people."""

    def coded_aus(self) -> tuple[str, ...]:
        """Codes of the columns of `build_index`; known at the latest after it has run."""
        return self.aus

    def coded_scale(self) -> Scale:
        """What the labels mean."""
        assert self.scale is not None, "a dataset without a fixed scale overrides coded_scale"
        return self.scale

    # What all datasets share --------------------------------------------------------------------------------

    @property
    def asked_aus(self) -> tuple[str, ...]:
        """The codes that are learnt and scored."""
        coded = self.coded_aus()
        return tuple(coded[column] for column in chosen_columns(self.name, coded, self.settings.aus))

    @property
    def index(self) -> Index:
        """The table of all labelled faces, with the columns of `asked_aus`; built once."""
        if self._index is None:
            built = self.build_index()
            where = str(self.settings.root or self.name)
            checked = check_index(built, self.name, self.coded_aus(), self.coded_scale(), where)
            self._index = checked.take(chosen_columns(self.name, self.coded_aus(), self.settings.aus))
        return self._index

    @property
    def split(self) -> Split:
        """The people of the fold."""
        if self._split is None:
            name = self.settings.protocol or self.protocols[0]
            if name not in self.protocols:
                raise DatasetError(
                    f"dataset '{self.name}' has no protocol '{name}': "
                    f"did you mean '{nearest(name, self.protocols)}'?"
                )
            people = sorted({str(subject) for subject in self.index.subjects})
            self._split = self.protocol(name, people).split(people, self.settings.fold)
        return self._split

    def root(self) -> Path:
        """The folder of the dataset.

        Raises:
            MissingRootError: it was not given or is no folder.
        """
        root = self.settings.root
        if root is None or not root.is_dir():
            raise MissingRootError.of(
                self.name, root, "the files shown by `aullava datasets " + self.name + "`"
            )
        return root

    def connect(self, collate: Collate, collate_eval: Collate | None = None) -> None:
        """Hand in what makes batches of samples; datasets never see a tokenizer.

        Args:
            collate: for training batches.
            collate_eval: for the batches of validation, test and predict; None: the same.
        """
        self._collate = collate
        self._collate_eval = collate_eval or collate

    def rows(self, part: str, limit: int | None = None) -> list[int]:
        """Numbers of the index rows of ``train``, ``val`` or ``test``; at most `limit`, evenly spread."""
        rows = self.index.rows_of(self.split.part(part))
        return [int(rows[place]) for place in spread(len(rows), limit)]

    def sample(self, row: int) -> AUSample:
        """The face of one row of the index, with its labels."""
        index = self.index
        return AUSample(
            sample_id=str(index.sample_ids[row]),
            dataset=self.name,
            subject=f"{self.name}:{index.subjects[row]}",
            image=self.load_image(str(index.places[row])),
            aus=self.asked_aus,
            labels=index.labels[row],
            scale=self.coded_scale(),
        )

    def training_sample(self, row: int, seed: int) -> AUSample:
        """The face of one row as training sees it."""
        return self._transform(self.sample(row), seed)

    def pictures(self) -> str:
        """Which pictures the index shows: equal for datasets that show the same ones in the same order."""
        return f"{self.name}:{self.settings.root}"

    def fingerprint(self) -> str:
        """A short hash of labels, codes, scale and people of the fold: equal for comparable results only."""
        parts = (self.name, self.asked_aus, self.coded_scale().value, self.index.fingerprint(), self.split)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def setup(self, stage: str | None = None) -> None:
        """Read labels and check the split; called by Lightning in every process."""
        del stage
        _ = self.split

    def train_dataloader(self) -> Any:
        """Endless training batches of this dataset alone."""
        rows = self.rows("train")
        return draw_loader([self], [rows], [1.0], self.loading, self._collate, self.trainer)

    def val_dataloader(self) -> Any:
        """The validation people in order."""
        return self.eval_loader("val")

    def test_dataloader(self) -> Any:
        """The test people in order."""
        return self.eval_loader("test")

    def eval_loader(self, part: str) -> DataLoader[AUSample]:
        """The faces of ``val`` or ``test`` in the order of the index."""
        limit = self.loading.val_samples if part == "val" else self.loading.test_samples
        return DataLoader(
            FaceRows(self, self.rows(part, limit)),
            batch_size=self.loading.eval_batch_size,
            num_workers=self.loading.num_workers,
            collate_fn=self._collate_eval,
        )


class _Drawn(Dataset[AUSample]):
    """Training samples of several datasets by `Draw`."""

    def __init__(self, modules: Sequence[AUDataModule], rows: Sequence[Sequence[int]]) -> None:
        self.modules = modules
        self.rows = rows

    def __getitem__(self, draw: Draw) -> AUSample:
        return self.modules[draw.dataset].training_sample(self.rows[draw.dataset][draw.row], draw.seed)


def draw_loader(
    modules: Sequence[AUDataModule],
    rows: Sequence[Sequence[int]],
    weights: Sequence[float],
    loading: LoaderSettings,
    collate: Collate,
    trainer: Any = None,
) -> DataLoader[AUSample]:
    """Endless training batches over the rows of several datasets, each batch from one of them."""
    batches = MixtureBatches(
        [len(some) for some in rows],
        weights,
        loading.batch_size,
        loading.seed,
        rank=getattr(trainer, "global_rank", 0),
        world_size=getattr(trainer, "world_size", 1),
    )
    return DataLoader(
        _Drawn(modules, rows),
        batch_sampler=batches,
        num_workers=loading.num_workers,
        collate_fn=collate,
        persistent_workers=loading.num_workers > 0,
    )
