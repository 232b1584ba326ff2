"""The config of a run beside its final scores, so that runs compare in TensorBoard's HParams tab.

They lie in a folder of their own below the run's events, for two reasons of the tab: it takes every scalar
beside a config for a result, hundreds of columns; and of runs that each say which columns there are it
believes the first, so that a dataset of the others would be missing. Here none says so, and it finds all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

FOLDER: Final = "final"
"""Below the event files of a run."""
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


def log_final(events: Path, config: Mapping[str, Any], scores: Mapping[str, float], step: int) -> None:
    """Write every value of the config, and the headline scores of the weights that the run reports.

    Args:
        events: folder of the run's event files.
        config: every value by its dotted key.
        scores: of the last validation.
        step: of the weights that gave them.
    """
    values = {key: _plain(value) for key, value in config.items() if not _is_a_place(key)}
    found = {
        f"final/{key}": value
        for key, value in scores.items()
        if key.rpartition("/")[2] in HEADLINES and math.isfinite(value)
    }
    _, begin, end = hparams(values, found)  # type: ignore[no-untyped-call]  # the first names the columns
    with SummaryWriter(str(events / FOLDER)) as writer:
        for summary in (begin, end):
            writer.file_writer.add_summary(summary)
        for name, value in found.items():
            writer.add_scalar(name, value, step)


def _is_a_place(key: str) -> bool:
    """Whether a key says where or how files lie: nobody compares runs by it, and each takes a column."""
    return any(fnmatchcase(key, pattern) for pattern in LEFT_OUT)


def _plain(value: Any) -> Any:
    """What the tab can show and sort: numbers and texts."""
    if isinstance(value, bool | int | float | str):
        return value
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
