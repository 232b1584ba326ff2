"""What the fakes share: small pictures that differ, and workbooks."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from openpyxl import Workbook
from PIL import Image


def save(path: Path, size: tuple[int, int] = (48, 64)) -> None:
    """Write a picture of coarse blocks (height, width), another one for every name."""
    generator = np.random.default_rng(zlib.crc32(str(path.name).encode() + path.parent.name.encode()))
    blocks = generator.integers(0, 256, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blocks.repeat(8, axis=0).repeat(8, axis=1)).save(path)


def save_workbook(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write an .xlsx file with one sheet."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in rows:
        sheet.append(list(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def save_folds(root: Path, *folds: Sequence[str]) -> str:
    """Write a user's fold list and return its path."""
    path = root / "folds.txt"
    path.write_text("# my folds\n" + "\n".join(", ".join(fold) for fold in folds) + "\n", encoding="utf-8")
    return str(path)
