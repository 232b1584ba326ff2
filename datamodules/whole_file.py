"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_DRAFT: Final = ".tmp"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name to write to: the file becomes `path` if all goes well, else it is removed.

    The name has another ending than the path's, so that nobody takes a draft for one of the finished files.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{_DRAFT}")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())  # the name must not reach the disk before the content
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def is_draft(path: Path) -> bool:
    """Whether a file has a temporary name, left behind by a process that was killed."""
    return path.suffix == _DRAFT
