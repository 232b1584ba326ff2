"""Finding the parts of an unpacked dataset, wherever a laboratory has put them. No torch here.

Copies differ in upper and lower case, in the width of numbers (``F1``, ``F001``) and in the folders above
(``gaic/BP4D/...``); parentheses, brackets and plus signs in names stand for themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from datamodules.errors import DatasetError
from datamodules.labels import child, listed_folders

_CODE = re.compile(r"([A-Za-z]*)0*(\d+)")


def folders(root: Path, levels: int = 2) -> Iterator[Path]:
    """The root, then the folders in it, then those in these, each level sorted by name; hidden ones are not.

    Args:
        root: where to begin.
        levels: how many levels below the root.
    """
    level = [root]
    for depth in range(levels + 1):
        yield from level
        if depth < levels:
            level = [path for folder in level for path in listed_folders(folder)]


def below(root: Path, *patterns: str, levels: int = 2) -> Path | None:
    """The folder that one of the patterns names, the nearest to the root first; None: there is none.

    Args:
        root: where to begin.
        patterns: as for `datamodules.labels.child`; an earlier one goes before a later one.
        levels: how many levels below the root are looked into.

    Raises:
        DatasetError: two folders of one level fit, so that which one is meant cannot be known.
    """
    found: Path | None = None
    for folder in folders(root, levels):
        if found is not None and len(folder.parts) == len(found.parts):
            break  # this folder lies deeper than the one whose child was found
        fits = child(folder, *patterns, folders=True)
        if fits is None:
            continue
        if found is None:
            found = fits
        else:
            raise DatasetError(
                f"both {found} and {fits} could be meant: set the root to the folder of one dataset alone"
            )
    return found


def code(name: str) -> str | None:
    """A name of letters and a number in one spelling: ``f1`` and ``F001`` are ``F1``; None: no such name."""
    parts = _CODE.fullmatch(name)
    return None if parts is None else f"{parts[1].upper()}{int(parts[2])}"


def by_code(folder: Path) -> dict[str, Path]:
    """The folders in a folder by `code`, in the order of their names; others are passed over.

    Raises:
        DatasetError: two have one code.
    """
    found: dict[str, Path] = {}
    for path in listed_folders(folder):
        key = code(path.name)
        if key is None:
            continue
        if key in found:
            raise DatasetError(
                f"{folder} has both '{found[key].name}' and '{path.name}': take one of the two out"
            )
        found[key] = path
    return found
