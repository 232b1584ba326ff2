"""Pictures inside zip files, read in place: nothing is unpacked, so no name in an archive leads anywhere."""

from __future__ import annotations

import os
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

from datamodules.errors import BrokenImageError, DatasetError

MAX_BYTES = 1 << 28
"""Largest picture file that is taken out of an archive; a larger one is a mistake or an attack (zip bomb)."""

# What zipfile raises for damaged archives; RuntimeError is also said of encrypted members, and its subclass
# NotImplementedError of compressions that Python does not know.
_DAMAGED = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)


def split_member(place: str) -> tuple[str, str | None]:
    """A place of the index as the path of a file below the root and a member of that archive.

    ``2D+3D/F001.zip!/F001/T1/0001.jpg`` is the member ``F001/T1/0001.jpg``; a plain picture has none.
    """
    path, mark, member = place.partition(".zip!/")
    return (path + ".zip", member) if mark else (place, None)


def members(path: Path) -> list[str]:
    """The names of the files in an archive, sorted.

    Raises:
        DatasetError: it is no zip file, or its table of contents is damaged.
    """
    return sorted(_opened(path).namelist())


class Archives:
    """Reads members; keeps one archive open, since most reading goes on where it stopped.

    A copy in another process (a loader worker) opens its own: two that share one file would move each other's
    place in it.
    """

    def __init__(self) -> None:
        self._open: tuple[Path, int, zipfile.ZipFile] | None = None

    def read(self, path: Path, member: str) -> BytesIO:
        """The bytes of one member.

        Raises:
            DatasetError: the archive cannot be read.
            BrokenImageError: it has no such member, or that one is damaged or too large.
        """
        if self._open is None or self._open[:2] != (path, os.getpid()):
            self._open = (path, os.getpid(), _opened(path))
        archive = self._open[2]
        try:
            if archive.getinfo(member).file_size > MAX_BYTES:
                raise BrokenImageError.of(path / member, f"more than {MAX_BYTES} bytes")
            return BytesIO(archive.read(member))
        except KeyError:
            raise BrokenImageError.of(path / member, "there is no such file in the archive") from None
        except _DAMAGED as error:
            raise BrokenImageError.of(path / member, str(error).partition("\n")[0]) from None

    def __getstate__(self) -> dict[str, object]:
        return {}

    def __setstate__(self, state: dict[str, object]) -> None:
        del state
        self._open = None


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _DAMAGED as error:
        raise DatasetError(f"archive {path} cannot be read ({error}): download it again") from None
