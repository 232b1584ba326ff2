"""Units as coders write them in one cell: ``4+L10``, ``1+2+R12B``, ``12?``. No torch here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datamodules.action_units import UNKNOWN, Side, action_unit

_UNIT = re.compile(r"(?:A[UD]\s*)?([LR]?)(\d+)([A-E]?)(\??)", re.IGNORECASE)
Unit = tuple[int, str]
"""FACS number and side: L, R, or nothing for both."""


@dataclass(frozen=True, slots=True)
class Coding:
    """What a coder wrote about one face.

    Attributes:
        present: the units that are there.
        doubtful: units with a question mark.
        complete: whether a unit that is not named is absent; not so when a question mark stands alone.
    """

    present: frozenset[Unit]
    doubtful: frozenset[Unit]
    complete: bool


def read_coding(text: str) -> Coding | None:
    """Read units joined by ``+``, each with an optional side before it and an intensity letter after it.

    Returns:
        None if a part is no unit: nothing is guessed about such a cell.
    """
    present: set[Unit] = set()
    doubtful: set[Unit] = set()
    complete = True
    for part in text.split("+"):
        word = part.strip()
        if word == "?":
            complete = False
            continue
        found = _UNIT.fullmatch(word)
        if found is None:
            return None
        side, number, _, doubt = found.groups()
        (doubtful if doubt else present).add((int(number), side.upper()))
    return Coding(frozenset(present), frozenset(doubtful), complete)


def presence(coding: Coding, codes: Sequence[str]) -> list[float]:
    """Labels of a coding: 1 present, 0 absent, UNKNOWN where the coder was not sure.

    A code of both sides (``AU12``) is present when either side is; a code of one side (``AU12L``) when that
    side is, or both are.
    """
    return [_presence(coding, code) for code in codes]


def _presence(coding: Coding, code: str) -> float:
    number, side = int(re.findall(r"\d+", code)[-1]), action_unit(code).side
    meant = {(number, one) for one in (("", "L", "R") if side is Side.BOTH else ("", side.value))}
    if meant & coding.present:
        return 1.0
    return UNKNOWN if meant & coding.doubtful or not coding.complete else 0.0
