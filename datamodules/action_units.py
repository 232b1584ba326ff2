"""The FACS vocabulary: every Action Unit and action descriptor that a dataset may carry.

Imports nothing but the standard library, so that `aullava --help` and the configuration can use it.
A code is "AU" or "AD" and the FACS number, then L, R (the subject's own left and right side) or T, B (top:
upper lip, bottom: lower lip) where one side is meant: "AU12", "AU12L", "AD34", "AU28T", "AU1+2R".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from datamodules.errors import UnknownActionUnitError
from datamodules.facs_table import FACS_ROWS, MIRRORED_DIRECTIONS, FacsRow

UNKNOWN: Final = -1.0
"""Label of an Action Unit that was not coded in an image: masked everywhere, never taken for absent."""


class Scale(StrEnum):
    """What a label means; also the three formats of an answer."""

    PRESENCE = "presence"  # 0 absent, 1 present
    LEVEL = "level"  # 0 absent, 1 to 5 for the FACS letters A to E
    INTENSITY = "intensity"  # a real number from 0 to 1

    @property
    def in_words(self) -> str:
        """The values of the scale, for messages."""
        return {Scale.PRESENCE: "0 or 1", Scale.LEVEL: "0, 1, 2, 3, 4 or 5", Scale.INTENSITY: "0 to 1"}[self]

    @property
    def top(self) -> int:
        """The largest value of the scale."""
        return 5 if self is Scale.LEVEL else 1

    def allows(self, value: float) -> bool:
        """Whether `value` is a known value of the scale (UNKNOWN and NaN are not)."""
        match self:
            case Scale.PRESENCE:
                return value in (0, 1)
            case Scale.LEVEL:
                return value in (0, 1, 2, 3, 4, 5)
            case Scale.INTENSITY:
                return 0 <= value <= 1


class Side(StrEnum):
    """Which part of the face a code speaks of; left and right are the subject's own."""

    BOTH = ""
    LEFT = "L"
    RIGHT = "R"
    TOP = "T"
    BOTTOM = "B"


SIDE_WORDS: Final = {Side.LEFT: "left", Side.RIGHT: "right", Side.TOP: "upper", Side.BOTTOM: "lower"}


@dataclass(frozen=True, slots=True)
class ActionUnit:
    """One code of the vocabulary.

    Attributes:
        code: such as "AU12L".
        side: the part of the face it speaks of.
        name: in lower case, with the side: "left lip corner puller".
        muscle: what moves.
        description: one sentence about what can be seen.
        source: where number, name and muscle come from.
    """

    code: str
    side: Side
    name: str
    muscle: str
    description: str
    source: str

    @property
    def mirror(self) -> str:
        """The code that this one becomes when the image is flipped left to right (its own, if symmetric)."""
        if self.side is Side.LEFT:
            return self.code.removesuffix(Side.LEFT) + Side.RIGHT
        if self.side is Side.RIGHT:
            return self.code.removesuffix(Side.RIGHT) + Side.LEFT
        return MIRRORED_DIRECTIONS.get(self.code, self.code)


def action_unit(code: str) -> ActionUnit:
    """Looks a code up.

    Raises:
        UnknownActionUnitError: no such code; the message names the nearest one.
    """
    try:
        return _UNITS[code]
    except KeyError:
        raise UnknownActionUnitError.of(code, _meant_by(code)) from None


def code_of(number: int, side: Side = Side.BOTH) -> str:
    """The code of a FACS number, as label files write it: 12 is "AU12", 34 is "AD34", 12 on the left "AU12L".

    Raises:
        UnknownActionUnitError: FACS has no such number, or no such side of it.
    """
    stem = f"AD{number}" if f"AD{number}" in _UNITS else f"AU{number}"
    return action_unit(f"{stem}{side}").code


def _meant_by(word: str) -> Iterable[str]:
    """The code that a label file's notation stands for (12, L12, au12l, AU34), else every code."""
    parts = re.fullmatch(r"(?:A[UD])?([LRTB]?)(\d+)([LRTB]?)", word.upper())
    if parts is not None:
        before, number, after = parts.groups()
        likely = {f"{prefix}{number}{before}{after}" for prefix in ("AU", "AD")} & _UNITS.keys()
        if likely:
            return likely
    return _UNITS


def codes() -> tuple[str, ...]:
    """Every code of the vocabulary, sorted by face region."""
    return tuple(_UNITS)


def _units_of(row: FacsRow) -> Iterator[ActionUnit]:
    """The code of a row for both sides, then those of its single sides."""
    descriptions = {
        Side.BOTH: row.description,
        Side.LEFT: row.one_side.format(side="left"),
        Side.RIGHT: row.one_side.format(side="right"),
        Side.TOP: row.upper,
        Side.BOTTOM: row.lower,
    }
    for side, description in descriptions.items():
        if description:
            name = row.name if side is Side.BOTH else f"{SIDE_WORDS[side]} {row.name}"
            yield ActionUnit(f"{row.stem}{side}", side, name, row.muscle, description, row.source)


_UNITS: Final = {unit.code: unit for row in FACS_ROWS for unit in _units_of(row)}

BP4D_AUS: Final = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU14", "AU15", "AU17", "AU23", "AU24")
"""The 12 of BP4D's occurrence coding, in the order of the field's tables."""

DISFA_AUS: Final = ("AU1", "AU2", "AU4", "AU5", "AU6", "AU9", "AU12", "AU15", "AU17", "AU20", "AU25", "AU26")
"""The 12 of DISFA's intensity coding."""

FEAFA_AUS: Final = (
    *("AU43L", "AU43R", "AU5L", "AU5R", "AU4L", "AU4R", "AU1+2L", "AU1+2R"),
    *("AU26", "AD30L", "AD30R", "AU12L", "AU12R", "AU20L", "AU20R", "AU28T", "AU28B"),
    *("AD29", "AU10", "AU16", "AU17", "AU18", "AD34", "AU9"),
)
"""The 24 values of a line of FEAFA's .auw files, in their order."""
