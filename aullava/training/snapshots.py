"""All that a run needs to go on as if it had never stopped, in one file that is whole or not used.

The first letters of the file's SHA-256 stand in its name. What was written only in part, or changed on the
disk since, is recognised, and the file before it is used.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aullava.training.errors import RunError
from aullava.training.run_folder import CHECKPOINTS

KEEP = 2
"""The newest file, and the one before it in case the newest is damaged."""
_DIGITS = 16

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


def write_snapshot(snapshot: Snapshot, run: Path) -> Path:
    """Write a snapshot under a temporary name, have it on the disk, rename it; then delete older ones.

    Raises:
        RunError: it cannot be written; what was saved before is as it was.
    """
    folder = run / CHECKPOINTS
    draft = folder / f"step-{snapshot.step:08d}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.save({field.name: getattr(snapshot, field.name) for field in fields(snapshot)}, draft)
        path = folder / f"step-{snapshot.step:08d}-{_digest(draft)}.ckpt"
        _sync(draft)  # the name must not reach the disk before the content
        draft.replace(path)
        _sync(folder)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        raise RunError(
            f"no checkpoint can be written into {folder} ({error}): make room there, then go on with "
            f"`aullava resume {run}`; the checkpoint before it is whole"
        ) from None
    finally:
        draft.unlink(missing_ok=True)
    for old in _files(run)[KEEP:]:
        if old != path:
            old.unlink(missing_ok=True)
    return path


def newest_snapshot(run: Path) -> Snapshot:
    """The last snapshot of a run that is whole; says which ones are not.

    Raises:
        RunError: there is none.
    """
    files = _files(run)
    for path in files:
        snapshot = _read(path)
        if snapshot is not None:
            return snapshot
        log.warning("%s is damaged or written in part: the checkpoint before it is used", path)
    if files:
        raise RunError(f"no checkpoint of {run} is whole: restore one from a copy or fit the run again")
    raise RunError(f"{run} has no checkpoint to go on from: it stopped before its first save, fit it again")


def remove_drafts(run: Path) -> None:
    """Delete what processes that were killed in the middle of a save have left behind."""
    for draft in (run / CHECKPOINTS).glob("*.tmp*"):
        draft.unlink(missing_ok=True)


def _read(path: Path) -> Snapshot | None:
    """The snapshot in a file; None if the file is not what was once written."""
    try:
        if path.stem.rpartition("-")[2] != _digest(path):
            return None
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        return None
    if not isinstance(state, dict) or state.keys() != {field.name for field in fields(Snapshot)}:
        raise RunError(f"{path} was written by another version of AU-LLaVA: go on with that version")
    return Snapshot(**state)


def _files(run: Path) -> list[Path]:
    """The snapshots of a run, the newest first."""
    return sorted((run / CHECKPOINTS).glob("step-*.ckpt"), reverse=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]


def _sync(path: Path) -> None:
    """Have a file or folder on the disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
