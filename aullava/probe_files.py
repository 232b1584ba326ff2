"""The linear probes of a run on disk: fitted when the run is tested, read back as drafts for its decoder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from aullava.evaluation.probe import LinearProbe
from aullava.training.errors import RunError
from datamodules.action_units import Scale
from datamodules.whole_file import whole_file

PROBES: Final = "probes"
"""Folder below that of a run."""


def save_probes(run: Path, probes: Mapping[str, LinearProbe]) -> None:
    """Write the probe of every dataset, each whole or not at all."""
    (run / PROBES).mkdir(exist_ok=True)
    for name, probe in probes.items():
        about = {"aus": json.dumps(probe.aus), "scale": probe.scale.value}
        with whole_file(run / PROBES / f"{name}.safetensors") as temporary:
            save_file(probe.tensors(), temporary, metadata=about)


class KeptProbes:
    """Guesses answers from features (`aullava.decoding.drafts.Reader`); knows the questions of its probes.

    Args:
        probes: in the order in which they are asked.
    """

    def __init__(self, probes: Sequence[LinearProbe]) -> None:
        self.probes = tuple(probes)

    @classmethod
    def of_run(cls, run: Path) -> KeptProbes | None:
        """The probes that a run has; None if it has none.

        Raises:
            RunError: a file is damaged.
        """
        probes = [_read(path) for path in sorted((run / PROBES).glob("*.safetensors"))]
        return cls(probes) if probes else None

    def guess(self, features: Tensor, aus: Sequence[str], scale: Scale) -> npt.NDArray[np.float32] | None:
        """Values float32 [B, A]; None if no probe reads all of the Action Units on this scale."""
        width = features[0].numel()
        for probe in self.probes:
            if probe.scale is scale and len(probe.mean) == width and set(aus) <= set(probe.aus):
                values = probe.amounts(features.flatten(1).to(probe.mean)).cpu().numpy()
                return np.asarray(values[:, [probe.aus.index(code) for code in aus]], np.float32)
        return None


def _read(path: Path) -> LinearProbe:
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        return LinearProbe.from_tensors(json.loads(about["aus"]), Scale(about["scale"]), tensors)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}): delete it or test the run again") from None
