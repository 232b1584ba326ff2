"""What the datasets of coded videos have in common: pictures by number below one root."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from datamodules.errors import DatasetError
from datamodules.file_dataset import FileDataset


class SequenceDataset(FileDataset):
    """A dataset of videos or numbered pictures; its subclasses say where they are and how they are coded."""

    def load_image(self, place: str) -> npt.NDArray[np.uint8]:
        """The picture at a place of the index: a file, a member of an archive or a frame of a video."""
        if not place:
            raise DatasetError(
                f"dataset '{self.name}' was read without its pictures, as data.datasets.{self.name}.options "
                "says: take `pictures` out of the options to see them"
            )
        return self.raw.load(place)
