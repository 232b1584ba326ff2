"""Files of a checkpoint: the first letters of its SHA-256 stand in the name of each.

What was written only in part, or changed on the disk since, is recognised by its name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from aullava.training.errors import RunError
from aullava.training.run_folder import CHECKPOINTS

_DIGITS = 16


def write_stamped(run: Path, name: str, write: Callable[[Path], object]) -> Path:
    """Write a file of a checkpoint under a temporary name, have it on the disk, rename it.

    Args:
        run: folder of the run.
        name: without the stamp, such as ``step-00000010.ckpt``; the stamp is put before the ending.
        write: writes the file of a path.

    Returns:
        Where it lies, such as ``<run>/checkpoints/step-00000010-0123456789abcdef.ckpt``.

    Raises:
        RunError: it cannot be written; what was saved before is as it was.
    """
    folder, kind = run / CHECKPOINTS, Path(name)
    draft = folder / f"{kind.stem}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write(draft)
        path = folder / f"{kind.stem}-{_digest(draft)}{kind.suffix}"
        _sync(draft)  # the name must not reach the disk before the content
        draft.replace(path)
        _sync(folder)
    except (OSError, RuntimeError, SafetensorError) as error:  # each library's words for a full disk
        raise RunError(
            f"no checkpoint can be written into {folder} ({error}): make room there, then go on with "
            f"`aullava resume {run}`; the checkpoint before it is whole"
        ) from None
    finally:
        draft.unlink(missing_ok=True)
    return path


def is_whole(path: Path) -> bool:
    """Whether a file is there and is what was once written."""
    try:
        return path.stem.rpartition("-")[2] == _digest(path)
    except OSError:
        return False


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
