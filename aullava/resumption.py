"""Whether a saved run can go on: the same config, and as many processes as before."""

from __future__ import annotations

from pathlib import Path

from aullava.config.changes import changes
from aullava.config.schema import Config
from aullava.training.errors import RunError
from aullava.training.snapshots import Snapshot


def refuse_another_run(snapshot: Snapshot, config: Config, run: Path) -> None:
    """Refuse a config that makes another run of it, naming every key.

    Raises:
        RunError: a key differs on which learning hangs.
    """
    found = changes(snapshot.config, config)
    if found:
        said = ", ".join(f"{key} was {before} and is now {now}" for key, (before, now) in found.items())
        raise RunError(
            f"the checkpoint of {run} is of another config ({said}): "
            "give these keys their old values, or begin a new run with `aullava fit`"
        )


def refuse_another_world(snapshot: Snapshot, world_size: int, run: Path) -> None:
    """Refuse another number of processes: each step would be made of other samples.

    Raises:
        RunError: it differs.
    """
    if snapshot.world_size != world_size:
        raise RunError(
            f"{run} was trained by {snapshot.world_size} processes and would go on with {world_size}, "
            "each step made of other samples: give it as many as before (strategy.name, strategy.devices)"
        )
