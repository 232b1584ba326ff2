"""One face with its labels: what every dataset gives, and all that the rest of the code knows of datasets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datamodules.action_units import Scale


@dataclass(frozen=True, slots=True)
class AUSample:
    """One face.

    Attributes:
        sample_id: unique in its dataset and stable between runs: ``S012/0007``.
        dataset: registered name of the dataset.
        subject: the person, with the dataset's name before it, since datasets reuse each other's numbers.
        image: RGB uint8 [H, W, 3].
        aus: codes of the labels.
        labels: float32 [A], UNKNOWN where not coded.
        scale: what the labels mean.
        padding: whether the face stands here only so that every process evaluates equally many: it is asked
            like any other and scored nowhere.
    """

    sample_id: str
    dataset: str
    subject: str
    image: npt.NDArray[np.uint8]
    aus: tuple[str, ...]
    labels: npt.NDArray[np.float32]
    scale: Scale
    padding: bool = False
