"""What training may do to a face, and what that does to its labels. A thin layer over albumentations."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else its import asks a server for newer versions

import albumentations as A

from datamodules.action_units import UNKNOWN, action_unit
from datamodules.sample import AUSample


class TrainTransform:
    """Random horizontal mirror; left and right labels change places with it.

    Args:
        flip: probability of the mirror.
    """

    def __init__(self, flip: float) -> None:
        self._geometry = A.ReplayCompose([A.HorizontalFlip(p=flip)]) if flip > 0 else None

    def __call__(self, sample: AUSample, seed: int) -> AUSample:
        """The sample as training sees it; the same seed gives the same picture in any process."""
        if self._geometry is None:
            return sample
        self._geometry.set_random_seed(seed)
        done = self._geometry(image=sample.image)
        mirrored = any(step["applied"] for step in done["replay"]["transforms"])
        if not mirrored:
            return sample
        labels = mirrored_labels(sample.aus, sample.labels)
        if np.all(labels == UNKNOWN):  # only one side is asked: in the mirror nothing would be left to learn
            return sample
        return replace(sample, image=np.ascontiguousarray(done["image"]), labels=labels)


def mirrored_labels(aus: tuple[str, ...], labels: np.ndarray) -> np.ndarray:
    """Labels of the mirrored face, float32 [A].

    A code whose other side is not among ``aus`` becomes UNKNOWN: its new value was never given.
    """
    place = {code: number for number, code in enumerate(aus)}
    source = [place.get(action_unit(code).mirror) for code in aus]
    values = [UNKNOWN if number is None else labels[number] for number in source]
    return np.array(values, dtype=np.float32)
