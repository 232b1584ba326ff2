"""The config of a run beside its final scores, so that runs compare in TensorBoard's HParams tab."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from aullava.training.module import AULightningModule

LEFT_OUT = (
    "experiment",
    "runs_dir",
    "data.datasets.*.faces.*",
    "data.datasets.*.options*",
    "data.datasets.*.root",
    "data.datasets.*.prepared",
    "data.datasets.*.log_images",
    "data.datasets.*.strict",
)
HEADLINES = ("f1_macro", "pcc_macro", "mae_macro", "icc_macro", "auroc_macro", "invalid_rate")


class FinalScores(Callback):
    """Logs every value of the config with the headline scores of the last validation.

    Args:
        config: every value by its dotted key.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log once."""
        assert isinstance(pl_module, AULightningModule)
        if not isinstance(trainer.logger, TensorBoardLogger):
            return
        values = {key: _plain(value) for key, value in self.config.items() if not _is_a_place(key)}
        scores = {
            f"final/{key}": value
            for key, value in pl_module.scores.items()
            if key.rpartition("/")[2] in HEADLINES and math.isfinite(value)
        }
        trainer.logger.log_hyperparams(values, scores, step=trainer.global_step)


def _is_a_place(key: str) -> bool:
    """Whether a key says where or how files lie: nobody compares runs by it, and each takes a column."""
    return any(fnmatchcase(key, pattern) for pattern in LEFT_OUT)


def _plain(value: Any) -> Any:
    """What the tab can show and sort: numbers and texts."""
    if isinstance(value, bool | int | float | str):
        return value
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
