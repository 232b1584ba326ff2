"""What datasets of picture files share: where folders are, which units are read, how a picture is read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from datamodules.action_units import Side, code_of, codes
from datamodules.errors import DatasetError
from datamodules.file_dataset import FileDataset
from datamodules.images import inside, read_image
from datamodules.labels import PICTURES, child


class StillPictures(FileDataset):
    """A dataset of picture files below its root; the place of a row is the path of its picture."""

    protocols: ClassVar[tuple[str, ...]] = ("people_folds", "leave_one_subject_out", "own_folds")

    def coded_aus(self) -> tuple[str, ...]:
        """The units of the options, left and right apart if they say so; the class's where they have none."""
        units = getattr(self.options, "units", None)
        return self.aus if units is None else codes_of(units, getattr(self.options, "sides", "drop"))

    def load_image(self, place: str) -> npt.NDArray[np.uint8]:
        """The picture at a path below the root."""
        return read_image(inside(self.root(), place, self.name))

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
