"""Which keys of a run may change while it is stopped, and which would make another run of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Any

from aullava.config.paths import dotted, leaves
from aullava.config.schema import Config

MAY_CHANGE = (
    "experiment",
    "runs_dir",
    "data.num_workers",
    "data.eval_batch_size",
    "data.datasets.*.root",
    "data.datasets.*.log_images",
    "trainer.accelerator",
    "trainer.val_every",
    "trainer.save_every",
    "trainer.checkpoint",
    "trainer.log_every",
    "trainer.find_batch_size",
    "trainer.stuck_after",
    "vision.cache_dir",
    "strategy.*",
    "evaluation.*",
)
"""Where things lie and what is looked at: nothing that is learned or chosen hangs on these."""


def flat(config: Config) -> dict[str, Any]:
    """Every value of a config by its dotted key."""
    return {dotted(key): value for key, value in leaves(asdict(config))}


def changes(before: Mapping[str, Any], config: Config) -> dict[str, tuple[Any, Any]]:
    """The keys by which a run would no longer be the one that was saved.

    Args:
        before: `flat` of the config that the run was saved with. What it lacks because the schema had no such
            key yet counts as the default, which is how such a run learned.
        config: what it would go on with.

    Returns:
        Dotted key -> what it was and what it would be, None where there is no such key.
    """
    now = flat(config)
    before = {key: value for key, value in flat(Config()).items() if key in now} | dict(before)
    keys = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    fixed = [key for key in keys if not any(fnmatchcase(key, pattern) for pattern in MAY_CHANGE)]
    return {key: (before.get(key), now.get(key)) for key in fixed}
