"""What datasets of picture files share: where folders are, how a picture is read, splits without a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from datamodules.action_units import Side, code_of, codes
from datamodules.base import AUDataModule
from datamodules.canonical import find_protocol
from datamodules.errors import DatasetError
from datamodules.images import inside, read_image
from datamodules.labels import PICTURES, child
from datamodules.options import DatasetSettings, LoaderSettings
from datamodules.protocols import Protocol


class StillPictures(AUDataModule):
    """A dataset of picture files below its root.

    A subclass names its options dataclass (`options_type`) and annotates `options` with it. The place of a
    row is the path of its picture, relative to the root. What it has in `known_protocols` it names in
    `protocols`.
    """

    options: Any
    options_type: ClassVar[type]
    protocols: ClassVar[tuple[str, ...]] = ("people_folds", "leave_one_subject_out", "own_folds")
    known_protocols: ClassVar[Mapping[str, Protocol]] = {}

    def __init__(self, settings: DatasetSettings, loading: LoaderSettings) -> None:
        super().__init__(settings, loading)
        self.options = settings.options or self.options_type()

    def load_image(self, place: str) -> npt.NDArray[np.uint8]:
        """The picture at a path below the root."""
        return read_image(inside(self.root(), place, self.name))

    def protocol(self, name: str, subjects: Sequence[str]) -> Protocol:
        """A published list, people dealt out by a hash of their names, each alone, or the user's list."""
        folds, folds_file = self.options.folds, self.options.folds_file
        return find_protocol(name, set(subjects), self.known_protocols, folds_file, folds)

    def place(self, path: Path) -> str:
        """The path below the root by which a picture is found again; links are followed when it is read."""
        return str(path.relative_to(self.root()))

    def below(self, *names: str) -> Path:
        """A folder or file some levels below the root, upper and lower case alike.

        Raises:
            DatasetError: it is missing; names the first level that is.
        """
        path = self.root()
        for name in Path(*names).parts:
            found = child(path, name)
            if found is None:
                raise DatasetError(
                    f"dataset '{self.name}' has no {path / name}: the root must hold the files shown by "
                    f"`aullava datasets {self.name}`"
                )
            path = found
        return path


def by_stem(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their stems in lower case; none if the folder is missing."""
    files = folder.iterdir() if folder.is_dir() else ()
    return {p.stem.lower(): p for p in files if p.suffix.lower() in PICTURES and not p.name.startswith(".")}


def codes_of(units: Iterable[int], sides: str = "drop") -> tuple[str, ...]:
    """The codes of FACS numbers.

    Args:
        units: FACS numbers.
        sides: ``drop`` for the codes of both sides together; ``keep`` for the left and the right one of every
            unit that FACS codes on one side.
    """
    found: list[str] = []
    for number in units:
        both = code_of(number)
        one_sided = [f"{both}{side}" for side in (Side.LEFT, Side.RIGHT)]
        keeps = sides == "keep" and set(one_sided) <= set(codes())
        found.extend(one_sided if keeps else [both])
    return tuple(found)
