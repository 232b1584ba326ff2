"""The contract of a dataset: say where the faces are and what the labels mean, get the loaders for nothing.

A dataset is one small class: class attributes that describe it, `build_index` (the table of all labelled
faces) and `load_image` (one picture). Splits, checks, augmentation, loaders and fingerprints are the same for
all and live here.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from datamodules import index_cache
from datamodules.action_units import Scale
from datamodules.crops import Crops
from datamodules.errors import DatasetError, MissingRootError, nearest
from datamodules.expected_counts import Expected, expected_counts
from datamodules.findings import Finding, Findings
from datamodules.index import Index, check_index, chosen_columns
from datamodules.loaders import Collate, block_loader, draw_loader
from datamodules.options import DatasetSettings, LoaderSettings
from datamodules.protocols import Protocol, Split
from datamodules.sample import AUSample
from datamodules.sampling import spread
from datamodules.transforms import TrainTransform


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
    log_images: bool = False
    """Whether its faces may be shown in TensorBoard and reports."""
    needs_root: ClassVar[bool] = True
    """Whether the user must say where the files are."""
    threshold: ClassVar[float | None] = None
    """The value from which an Action Unit counts as present; None: presence labels, or none known."""
    same_people_as: ClassVar[str | None] = None
    """The dataset whose people these are, under the same names; None: people of its own."""

    def __init__(self, settings: DatasetSettings, loading: LoaderSettings) -> None:
        super().__init__()
        self.settings = settings
        self.loading = loading
        self._collate: Collate = list
        self._collate_eval: Collate = list
        self._transform = TrainTransform(loading.flip)
        self.findings = Findings(settings.strict)
        self.crops = Crops(self.name, settings, self.findings)
        self._index: Index | None = None
        self._usable: npt.NDArray[np.bool_] | None = None
        self._labels_hash = ""  # the fingerprint of the index, if it came with it
        self._reopens = False  # whether another process finds the index in the cache
        self._split: Split | None = None
        self.dealt: dict[int, int] = {}
        """Row -> whose picture it shows instead of its own."""

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

    def label_files(self) -> Iterable[Path | str]:
        """The files that decide what `build_index` gives; none: the index is not cached.

        A folder whose listing decides which rows there are (labelled frames without a picture are left out)
        belongs to them. `coded_aus` must be known without `build_index` when the index comes from the cache.
        """
        return ()

    def outdated(self, findings: Iterable[Finding]) -> bool:
        """Whether a cached index is out of date though its label files are as they were, by its findings."""
        del findings
        return False

    def expected(self) -> Expected | None:
        """The published counts of a complete copy, for `aullava datasets check`; None: none are known.

        Overridden where the options choose other rows.
        """
        return expected_counts(self.name)

    def present_from(self, code: str) -> float | None:
        """The value from which an Action Unit counts as present; overridden where units or options differ."""
        del code
        return self.threshold

    def identity(self, subject: str) -> str:
        """The person behind a subject, under one name for all datasets that show them.

        Mixtures compare it: the same person may not be trained on in one dataset and tested in another.
        """
        return f"{self.same_people_as or self.name}:{subject}"

    def __getstate__(self) -> dict[str, Any]:
        """Another process opens the cached index itself: pickled, the mapped arrays would be copied whole."""
        return {**self.__dict__, "_index": None} if self._reopens else dict(self.__dict__)

    # What all datasets share --------------------------------------------------------------------------------

    @property
    def asked_aus(self) -> tuple[str, ...]:
        """The codes that are learnt and scored."""
        coded = self.coded_aus()
        return tuple(coded[column] for column in chosen_columns(self.name, coded, self.settings.aus))

    @property
    def index(self) -> Index:
        """The table of all labelled faces, with the columns of `asked_aus`; built or opened once."""
        if self._index is None:
            whole = self._whole_index()
            chosen = whole.take(chosen_columns(self.name, self.coded_aus(), self.settings.aus))
            self._usable = self.crops.usable(chosen)
            self.crops.watch(len(chosen))
            if chosen.labels is not whole.labels:
                self._labels_hash = ""
            self._index = chosen
        return self._index

    def _whole_index(self) -> Index:
        """The checked index with all its columns, out of the cache if its label files are as they were."""
        self.findings.clear()
        files = list(self.label_files())
        if not files:
            return self._built()
        root, options = self.root(), self.settings.options
        place = index_cache.place_of(self.name, type(self).__qualname__, root.resolve(), root, options)
        key = index_cache.key_of(files, index_cache.code_hash(type(self)), options)
        entry = index_cache.load(place, key)
        if entry is None or self.outdated(entry.findings):
            built = self._built()
            index_cache.save(place, key, built, self.coded_aus(), self.findings)
            entry = index_cache.load(place, key)
            if entry is None:  # nowhere to keep it
                return built
        else:
            for finding in entry.findings:
                self.findings.add(finding.kind, finding.where, finding.message, finding.count)
        self._reopens, self._labels_hash = True, entry.fingerprint
        return entry.index

    def _built(self) -> Index:
        where = str(self.settings.root or self.name)
        return check_index(self.build_index(), self.name, self.coded_aus(), self.coded_scale(), where)

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
            people = self.index.people()
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

    def keep(self, split: Split) -> None:
        """Take a split with fewer people: a mixture leaves out who is tested in another of its datasets."""
        self._split = split

    def rows(self, part: str, limit: int | None = None) -> Sequence[int]:
        """Numbers of the index rows of ``train``, ``val`` or ``test``; at most `limit`, evenly spread.

        Samples that a prepared store has no face of are left out, and those without a single known label
        among the asked units, of which nothing could be asked. The numbers lie in one block of memory: a
        list of them would be copied, one by one, into every loader worker that looks at it.
        """
        rows = self.index.rows_of(self.split.part(part))
        if self._usable is not None:
            rows = rows[self._usable[rows]]
        rows = rows[self.index.labelled(rows)]
        if limit is not None:
            rows = rows[np.array(spread(len(rows), limit), dtype=np.int64)]
        return array("q", rows.tobytes())

    def sample(self, row: int) -> AUSample:
        """The face of one row of the index, with its labels."""
        index = self.index
        return AUSample(
            sample_id=str(index.sample_ids[row]),
            dataset=self.name,
            subject=f"{self.name}:{index.subjects[row]}",
            image=self.picture(row),
            aus=self.asked_aus,
            labels=np.array(index.labels[row]),
            scale=self.coded_scale(),
        )

    def picture(self, row: int) -> npt.NDArray[np.uint8]:
        """The picture of one row as it is shown: whole, or cropped, or from the prepared store."""
        row = self.dealt.get(row, row)
        place = str(self.index.places[row])
        return self.crops.picture(row, str(self.index.sample_ids[row]), lambda: self.load_image(place))

    def deal_out(self, rows: Sequence[int], seed: int) -> None:
        """Show with each of some rows the picture of another one, dealt out at random; labels stay.

        The other one may be of the same person. Of one row alone the picture stays.
        """
        order = np.random.default_rng(seed).permutation(np.asarray(rows)).tolist()
        self.dealt = dict(zip(order, order[1:] + order[:1], strict=True))

    def training_sample(self, row: int, seed: int) -> AUSample:
        """The face of one row as training sees it."""
        return self.augmented(self.sample(row), seed)

    def training_samples(self, row: int, seed: int) -> list[AUSample]:
        """The same as what a loader draws: one question about the face."""
        return [self.training_sample(row, seed)]

    def augmented(self, sample: AUSample, seed: int) -> AUSample:
        """A sample as training sees it; the same seed changes the same picture in the same way."""
        return self._transform(sample, seed)

    def pictures(self) -> str:
        """Which pictures the index shows: equal for datasets that show the same ones in the same order."""
        return f"{self.name}:{self.settings.root}{self.crops.told()}"

    def fingerprint(self) -> str:
        """A short hash of labels, codes, scale and people of the fold: equal for comparable results only."""
        index = self.index  # opened first: it may bring its own fingerprint along
        labels = self._labels_hash or index.fingerprint()
        parts: tuple[object, ...] = (self.name, self.asked_aus, self.coded_scale().value, labels, self.split)
        if self._usable is not None and not self._usable.all():
            parts += (index.sample_ids[~self._usable].tolist(),)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def setup(self, stage: str | None = None) -> None:
        """Read labels and check the split; called by Lightning in every process."""
        del stage
        _ = self.split

    def teardown(self, stage: str | None = None) -> None:
        """Gather what was found while pictures were read; called by Lightning in every process."""
        del stage
        self.crops.tell_missed(self.index.sample_ids, everywhere=True)

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

    def eval_loader(self, part: str, trainer: Any = None) -> DataLoader[AUSample]:
        """The faces of ``val`` or ``test`` in the order of the index.

        With several processes (known from the trainer) each evaluates a block of its own, filled up to the
        same length with faces that are marked as padding.
        """
        rows = self.rows(part, self.loading.limit(part))
        return block_loader(self, rows, self.loading, self._collate_eval, trainer or self.trainer)
