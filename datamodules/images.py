"""Picture files: a user's are checked before they are decoded, ours are written whole or not at all."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from datamodules.errors import BrokenImageError, DatasetError
from datamodules.whole_file import whole_file

MAX_SIDE = 10_000
"""Largest side in pixels that is decoded; a larger picture is a mistake or an attack (decompression bomb)."""

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
"""What is read. Pillow knows many more formats, among them EPS, which it hands to Ghostscript to run."""

# What Pillow's decoders raise for damaged files, found by damaging files.
_DAMAGED = (OSError, EOFError, ValueError, SyntaxError, RuntimeError, LookupError, TypeError, struct.error)


def inside(root: Path, relative: str, origin: str) -> Path:
    """The file ``relative`` below ``root``; symbolic links are followed before it is checked.

    Raises:
        DatasetError: the path leads out of the root, or no file can have this name.
    """
    try:
        path = (root / relative).resolve()
    except (ValueError, RuntimeError, OSError):  # a zero byte, a circle of links, too long
        raise DatasetError(f"{origin}: {relative!r} is no path of a file: mend the row") from None
    if not path.is_relative_to(root.resolve()):
        raise DatasetError(f"{origin}: the path '{relative}' leads out of {root}: give a path below the root")
    return path


def read_image(path: Path, content: IO[bytes] | None = None) -> npt.NDArray[np.uint8]:
    """Read one picture, upright as its EXIF data say.

    Args:
        path: the file.
        content: read instead of the file, for a picture inside another file; `path` then names it in
            messages.

    Returns:
        RGB uint8 [H, W, 3].

    Raises:
        BrokenImageError: missing, not a picture, truncated, or larger than `MAX_SIDE`.
    """
    try:
        with Image.open(content or path, formats=FORMATS) as picture:
            if max(picture.size) > MAX_SIDE:
                width, height = picture.size
                raise BrokenImageError.of(
                    path, f"it has {width} x {height} pixels, at most {MAX_SIDE} a side are read"
                )
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except FileNotFoundError:
        raise BrokenImageError.of(path, "there is no such file") from None
    except UnidentifiedImageError:
        raise BrokenImageError.of(path, f"it is none of {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise BrokenImageError.of(path, f"more than {MAX_SIDE} pixels a side") from None
    except _DAMAGED as error:
        raise BrokenImageError.of(path, str(error).partition("\n")[0]) from None


def write_png(path: Path, image: npt.NDArray[np.uint8]) -> None:
    """Write a picture as a PNG, whole or not at all.

    Args:
        path: of the file, in a folder that is there.
        image: RGB uint8 [H, W, 3].

    Raises:
        OSError: it cannot be written there.
    """
    with whole_file(path) as draft:
        Image.fromarray(image).save(draft, "PNG")
