"""What the datasets of a user's files have in common: options, pictures, splits by a list or by a rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from datamodules.base import AUDataModule
from datamodules.canonical import find_protocol
from datamodules.options import DatasetSettings, LoaderSettings
from datamodules.protocols import Protocol
from datamodules.raw_pictures import RawPictures


class FileDataset(AUDataModule):
    """A dataset with options of its own.

    A subclass names its options dataclass (`options_type`) and annotates `options` with it. What it has in
    `known_protocols` it names in `protocols`.
    """

    options: Any
    options_type: ClassVar[type]
    """The dataclass of its options."""
    known_protocols: ClassVar[Mapping[str, Protocol]] = {}
    """Its own fold lists by name."""

    def __init__(self, settings: DatasetSettings, loading: LoaderSettings) -> None:
        super().__init__(settings, loading)
        self.options = settings.options or self.options_type()
        self._raw: RawPictures | None = None

    @property
    def raw(self) -> RawPictures:
        """The pictures below the root."""
        if self._raw is None:
            self._raw = RawPictures(self.root(), self.findings)
        return self._raw

    def protocol(self, name: str, subjects: Sequence[str]) -> Protocol:
        """A published list, people dealt out by a hash of their names, each alone, or the user's list."""
        folds = getattr(self.options, "folds", 3)
        return find_protocol(name, set(subjects), self.known_protocols, self.options.folds_file, folds)
