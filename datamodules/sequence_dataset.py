"""What the datasets of coded videos have in common: pictures by number below one root, and fold lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from datamodules.base import AUDataModule
from datamodules.canonical import find_protocol
from datamodules.errors import DatasetError
from datamodules.options import DatasetSettings, LoaderSettings
from datamodules.protocols import Protocol
from datamodules.raw_pictures import RawPictures


class SequenceDataset(AUDataModule):
    """A dataset of videos or numbered pictures; its subclasses say where they are and how they are coded."""

    options_type: ClassVar[type]
    """The dataclass of its options."""
    known_protocols: ClassVar[Mapping[str, Protocol]] = {}
    """Its own fold lists by name."""

    def __init__(self, settings: DatasetSettings, loading: LoaderSettings) -> None:
        super().__init__(settings, loading)
        self.options: Any = settings.options or self.options_type()
        self._raw: RawPictures | None = None

    @property
    def raw(self) -> RawPictures:
        """The pictures below the root."""
        if self._raw is None:
            self._raw = RawPictures(self.root(), self.findings)
        return self._raw

    def load_image(self, place: str) -> npt.NDArray[np.uint8]:
        """The picture at a place of the index: a file, a member of an archive or a frame of a video."""
        if not place:
            raise DatasetError(
                f"dataset '{self.name}' was read without its pictures, as data.datasets.{self.name}.options "
                "says: take `pictures` out of the options to see them"
            )
        return self.raw.load(place)

    def protocol(self, name: str, subjects: Sequence[str]) -> Protocol:
        """One of the dataset's own fold lists, one person at a time, or the user's list."""
        folds = getattr(self.options, "folds", 3)
        return find_protocol(name, subjects, self.known_protocols, self.options.folds_file, folds)
