"""The score book of one dataset: the metrics its scale asks for, and their values under flat names."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from aullava.evaluation.counts import InvalidRate, PerAUSupport
from aullava.evaluation.metrics import PerAUF1, PerAUMAE, PerAUPearson
from aullava.evaluation.per_au import PerAUMetric, macro
from datamodules.action_units import Scale

Values = Tensor | npt.NDArray[np.float32]

PRESENT_FROM: Final = MappingProxyType({Scale.PRESENCE: 0.5, Scale.LEVEL: 2.0})
"""The smallest value that counts as present. Intensities have no such convention: no F1 is given for them."""

ON_DECISIONS: Final = ("f1", "positives")
SUPPORTS: Final = ("support", "positives")


class ScoreBook(nn.Module):
    """Collects the answers of one dataset and scores them; a module, to follow a model to its device.

    Args:
        aus: codes of the dataset's Action Units, in the order of the columns.
        scale: what its labels mean.

    Raises:
        ValueError: no Action Unit, or one of them twice.

    Example:
        >>> book = ScoreBook(["AU1", "AU2"], Scale.PRESENCE)
        >>> book.update(torch.tensor([[1, 0], [1, 1]]), torch.tensor([[1, 0], [1, 0]]))
        >>> {name: value for name, value in book.compute().items() if "AU2" not in name}
        {'f1/AU1': 1.0, 'f1_macro': 1.0, 'positives/AU1': 2.0, 'support/AU1': 2.0, 'invalid_rate': 0.0}
    """

    def __init__(self, aus: Sequence[str], scale: Scale) -> None:
        super().__init__()
        self.aus = tuple(aus)
        self.scale = Scale(scale)
        self.metrics = nn.ModuleDict(_metrics(self.aus, self.scale))

    def update(self, values: Values, target: Values, present: Values | None = None) -> None:
        """Adds answers.

        Args:
            values: [B, A] on the dataset's scale; UNKNOWN where an answer could not be read.
            target: [B, A] labels; UNKNOWN where not coded, and everywhere in a row that is padding.
            present: [B, A] in 0/1: decides F1 on levels for a baseline that does not read it off its level.

        Raises:
            ValueError: another shape, NaN or inf.
        """
        for name, metric in self._named():
            preds = torch.as_tensor(values, device=metric.device)
            if present is not None and name in ON_DECISIONS:
                preds = torch.as_tensor(present, device=metric.device) * PRESENT_FROM[self.scale]
            metric.update(preds, torch.as_tensor(target, device=metric.device))

    def compute(self) -> dict[str, float]:
        """The scores of all answers so far, of all processes together.

        Returns:
            Flat names to values. presence: `f1/<AU>`, `f1_macro`; level: the same at a level of 2 and above,
            and `mae/<AU>`, `mae_macro`, `pcc/<AU>`, `pcc_macro`; intensity: MAE and PCC. With them
            `support/<AU>`, the labels scored, `positives/<AU>`, those of them present, and `invalid_rate`,
            the share of answers that could not be read (they are in no other score). NaN: no support.
        """
        scores: dict[str, float] = {}
        for name, metric in self._named():
            value: Tensor = metric.compute()
            if isinstance(metric, InvalidRate):
                scores[name] = float(value)
                continue
            each = value.reshape(-1).tolist()
            scores |= {f"{name}/{code}": one for code, one in zip(self.aus, each, strict=True)}
            if name not in SUPPORTS:
                scores[f"{name}_macro"] = float(macro(value))
        return scores

    def reset(self) -> None:
        """Forgets all answers."""
        for _, metric in self._named():
            metric.reset()

    def _named(self) -> list[tuple[str, PerAUMetric]]:
        return [(name, metric) for name, metric in self.metrics.items() if isinstance(metric, PerAUMetric)]


def _metrics(aus: tuple[str, ...], scale: Scale) -> dict[str, nn.Module]:
    metrics: dict[str, nn.Module] = {}
    if scale in PRESENT_FROM:
        metrics["f1"] = PerAUF1(aus, PRESENT_FROM[scale])
    if scale is not Scale.PRESENCE:
        metrics["mae"] = PerAUMAE(aus)
        metrics["pcc"] = PerAUPearson(aus)
    if scale in PRESENT_FROM:
        metrics["positives"] = PerAUSupport(aus, PRESENT_FROM[scale])
    return metrics | {"support": PerAUSupport(aus), "invalid_rate": InvalidRate(aus)}
