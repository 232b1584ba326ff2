"""One dataset asked in several answer formats: its own scale, and presence derived from levels or amounts.

A derived format reads the same rows and pictures; only the labels are others. It calls itself
``<dataset>.<format>`` (``disfa.presence``), which is how its scores are told from those of the dataset's own
scale; its samples keep the dataset's name, the sample id and the subject.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.action_units import Scale
from datamodules.balance import presence_of
from datamodules.base import AUDataModule
from datamodules.errors import DatasetError
from datamodules.index import Index
from datamodules.protocols import Protocol, Split
from datamodules.sample import AUSample


def in_formats(dataset: AUDataModule) -> tuple[AUDataModule, ...]:
    """The dataset once for each format of its settings; itself alone when they name none.

    Raises:
        DatasetError: a format stands twice, or cannot be derived from the dataset's labels.
    """
    own = dataset.coded_scale()
    wanted = dataset.settings.formats or (own,)
    for scale in wanted:
        if wanted.count(scale) > 1:
            raise DatasetError(f"data.datasets.{dataset.name}.formats names {scale} twice: take one out")
    return tuple(dataset if scale is own else InFormat(dataset, scale) for scale in wanted)


def present_labels(dataset: AUDataModule) -> npt.NDArray[np.float32]:
    """The labels of a dataset as present (1), absent (0) or UNKNOWN, float32 [N, A].

    Raises:
        DatasetError: it does not say from which value an Action Unit counts as present.
    """
    if dataset.coded_scale() is Scale.PRESENCE:
        return dataset.index.labels
    return presence_of(dataset.index.labels, thresholds(dataset))


def thresholds(dataset: AUDataModule) -> tuple[float, ...]:
    """The value from which each of the asked units of a dataset counts as present.

    Raises:
        DatasetError: the dataset does not say so.
    """
    found = []
    for code in dataset.asked_aus:
        threshold = dataset.present_from(code)
        if threshold is None:
            raise DatasetError(
                f"dataset '{dataset.name}' does not say from which {dataset.coded_scale()} {code} counts as "
                f"present: do without presence in data.datasets.{dataset.name}.formats and without "
                "data.balance=rare, or give its class a `threshold`"
            )
        found.append(threshold)
    return tuple(found)


def own_thresholds(dataset: AUDataModule) -> tuple[float, ...] | None:
    """As `thresholds`; None where the dataset has none, or its labels are presence already."""
    found = [dataset.present_from(code) for code in dataset.asked_aus]
    known = tuple(one for one in found if one is not None)
    return None if dataset.coded_scale() is Scale.PRESENCE or len(known) < len(found) else known


class InFormat(AUDataModule):
    """A dataset in a format that is derived from its labels.

    Args:
        source: the dataset.
        scale: the format; presence is the only one that can be derived.

    Raises:
        DatasetError: another format, which would have to be made up.
    """

    def __init__(self, source: AUDataModule, scale: Scale) -> None:
        if scale is not Scale.PRESENCE:
            raise DatasetError(
                f"dataset '{source.name}' cannot be asked for {scale}, its labels are "
                f"{source.coded_scale()}: "
                f"take {scale} out of data.datasets.{source.name}.formats (only presence can be derived)"
            )
        self.name = f"{source.name}.{scale}"
        super().__init__(source.settings, source.loading)
        self.source = source
        self.log_images = source.log_images
        self.findings, self.crops = source.findings, source.crops
        self._scale = scale

    def __getstate__(self) -> dict[str, Any]:
        """Another process derives the labels again instead of getting a copy of the whole index."""
        return {**self.__dict__, "_index": None}

    @property
    def asked_aus(self) -> tuple[str, ...]:
        """Those of the dataset."""
        return self.source.asked_aus

    @property
    def index(self) -> Index:
        """The rows of the dataset with derived labels; made once."""
        if self._index is None:
            self._index = replace(self.source.index, labels=present_labels(self.source))
        return self._index

    @property
    def split(self) -> Split:
        """That of the dataset."""
        return self.source.split

    def coded_aus(self) -> tuple[str, ...]:
        """Those of the dataset."""
        return self.source.coded_aus()

    def coded_scale(self) -> Scale:
        """The derived format."""
        return self._scale

    def identity(self, subject: str) -> str:
        """As the dataset says."""
        return self.source.identity(subject)

    def prepare_data(self) -> None:
        """Whatever the dataset needs."""
        self.source.prepare_data()

    def rows(self, part: str, limit: int | None = None) -> Sequence[int]:
        """Those of the dataset."""
        return self.source.rows(part, limit)

    def sample(self, row: int) -> AUSample:
        """The sample of the dataset with derived labels; same id, same picture."""
        return self.derived(self.source.sample(row))

    def derived(self, sample: AUSample) -> AUSample:
        """A sample that the dataset has read already, in this format.

        Its labels alone are derived: a loader process that looked into `index` would make one of its own.
        """
        labels = presence_of(sample.labels[None], thresholds(self.source))[0]
        return replace(sample, labels=labels, scale=self._scale)

    def pictures(self) -> str:
        """Those of the dataset: what is computed from them is shared."""
        return self.source.pictures()

    def fingerprint(self) -> str:
        """That of the dataset, with how the format is derived from it."""
        parts = (self.name, self.source.fingerprint(), thresholds(self.source))
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def build_index(self) -> Index:
        """That of the dataset, on the dataset's own scale."""
        return self.source.build_index()

    def load_image(self, place: str) -> npt.NDArray[np.uint8]:
        """From the dataset."""
        return self.source.load_image(place)

    def picture(self, row: int) -> npt.NDArray[np.uint8]:
        """From the dataset, cropped or prepared as it says."""
        return self.source.picture(row)

    def protocol(self, name: str, subjects: Sequence[str]) -> Protocol:
        """That of the dataset."""
        return self.source.protocol(name, subjects)
