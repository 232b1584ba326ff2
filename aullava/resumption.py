"""Whether a saved run can go on: the same config, and steps that are made of the same images."""

from __future__ import annotations

from dataclasses import replace
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


def for_this_world(snapshot: Snapshot, config: Config, size: int, run: Path) -> Config:
    """The config by which as many processes as there are now take the same steps as before.

    A step is made of the same images whoever shares them, so another number of processes goes on with batches
    of another size. Dropout is drawn by each process for itself and would differ.

    Args:
        snapshot: of the run.
        config: what it would go on with.
        size: processes now.
        run: its folder.

    Raises:
        RunError: the images of a step cannot be shared out evenly, or there is dropout.
    """
    before = f"{run} was trained by {snapshot.world_size} processes and would go on with {size}"
    same = f"give it {snapshot.world_size} again (strategy.name, strategy.devices)"
    other = snapshot.world_size != size
    if other and config.adapter.dropout > 0:
        raise RunError(f"{before}, each drawing other dropout: {same}")
    if snapshot.images % size:
        raise RunError(f"{before}, which cannot share the {snapshot.images} images of a batch evenly: {same}")
    return replace(config, data=replace(config.data, batch_size=snapshot.images // size))
