"""All that a run needs to go on as if it had never stopped, whole or not used.

It stands in one file, or weights and moments lie in parts beside it (`aullava.training.shards`). A file that
was damaged is recognised (`aullava.training.stamped`), and the checkpoint before it is used.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from aullava.training.errors import RunError
from aullava.training.run_folder import CHECKPOINTS
from aullava.training.shards import read_parts
from aullava.training.stamped import is_whole, write_stamped

KEEP = 2
"""The newest checkpoint, and the one before it in case the newest is damaged."""
_STEP = len("step-00000000")
_PARTS = "parts"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run between two optimiser steps.

    Attributes:
        step: optimiser steps done.
        world_size: processes that trained together.
        images: of a batch, those of all processes together.
        seconds: time that training has taken so far.
        config: every value of the run's config by its dotted key.
        data: fingerprint of labels, codes and people.
        weights: the trained tensors.
        optimizer: moments and rates.
        schedule: place in the learning-rate schedule.
        precision: of the arithmetic: the loss scale of fp16; else empty.
        sampler: whose turn it is among the datasets.
        random: the random generators of each process.
    """

    step: int
    world_size: int
    images: int
    seconds: float
    config: dict[str, Any]
    data: str
    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    precision: dict[str, Any]
    sampler: dict[str, Any]
    random: list[dict[str, Any]]


def write_snapshot(snapshot: Snapshot, run: Path, parts: Sequence[str] = ()) -> Path:
    """Write a snapshot, whole or not at all; then delete older ones.

    Args:
        snapshot: of the run.
        run: its folder.
        parts: names of the files in which weights and moments lie already, in the order of the ranks; the
            snapshot has none of them then.

    Raises:
        RunError: it cannot be written, or parts are not here; what was saved before is as it was.
    """
    away = [name for name in parts if not (run / CHECKPOINTS / name).is_file()]
    if away:
        raise RunError(
            f"{away[0]} of another process is not in {run / CHECKPOINTS}: trainer.checkpoint=sharded needs a "
            f"runs_dir that all machines share; go on with `aullava resume {run} trainer.checkpoint=whole`"
        )
    state = {field.name: getattr(snapshot, field.name) for field in fields(snapshot)}
    if parts:
        state[_PARTS] = list(parts)
    path = write_stamped(run, f"step-{snapshot.step:08d}.ckpt", lambda draft: torch.save(state, draft))
    for old in _files(run)[KEEP:]:
        if old != path:
            old.unlink(missing_ok=True)
    _remove_lost_parts(run)
    return path


def newest_snapshot(run: Path) -> Snapshot:
    """The last snapshot of a run that is whole; says which ones are not.

    Raises:
        RunError: there is none.
    """
    files = _files(run)
    for path in files:
        try:
            return _read(path)
        except _DamagedError as error:
            log.warning("%s is damaged or written in part: the checkpoint before it is used", error)
    if files:
        raise RunError(f"no checkpoint of {run} is whole: restore one from a copy or fit the run again")
    raise RunError(f"{run} has no checkpoint to go on from: it stopped before its first save, fit it again")


def remove_drafts(run: Path) -> None:
    """Delete what processes that were killed in the middle of a save have left behind."""
    for draft in (run / CHECKPOINTS).glob("*.tmp*"):
        draft.unlink(missing_ok=True)
    _remove_lost_parts(run)


class _DamagedError(Exception):
    """Of a file that is not what was once written, or not there."""


def _read(path: Path) -> Snapshot:
    """The snapshot in a file, with what lies in parts beside it.

    Raises:
        _DamagedError: one of the files is not what was once written.
    """
    _check(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    parts = state.pop(_PARTS, []) if isinstance(state, dict) else []
    if not isinstance(state, dict) or state.keys() != {field.name for field in fields(Snapshot)}:
        raise RunError(f"{path} was written by another version of AU-LLaVA: go on with that version")
    if parts:
        paths = [path.parent / Path(name).name for name in parts]
        for one in paths:
            _check(one)
        try:
            state["weights"], state["optimizer"]["state"] = read_parts(paths)
        except (OSError, SafetensorError):
            raise _DamagedError(path) from None
    return Snapshot(**state)


def _check(path: Path) -> None:
    if not is_whole(path):
        raise _DamagedError(path)


def _files(run: Path) -> list[Path]:
    """The snapshots of a run, the newest first."""
    return sorted((run / CHECKPOINTS).glob("step-*.ckpt"), reverse=True)


def _remove_lost_parts(run: Path) -> None:
    """Delete the parts of steps that no snapshot is left of, or that none was ever written of."""
    steps = {file.name[:_STEP] for file in _files(run)}
    for part in (run / CHECKPOINTS).glob("step-*.safetensors"):
        if part.name[:_STEP] not in steps:
            part.unlink(missing_ok=True)
