"""The grammar of the answer: fixed text and decision slots.

Everything in an answer is known from the question, except the value of each Action Unit. A template says so:

    presence   "AU1: " [0|1] ", AU2: " [0|1]                   (named form)
    level      "[" [0..5] ", " [0..5] "]"                      (list form)
    intensity  "AU1: " [0|1] "." [0..9] [0..9]                 (after "1." both digits are 0)
    intensity  "[" [0..9] [0..9] "," [0..9] [0..9] "]"         (compact form: hundredths, at most 99)
    presence   ", AU2: " [0|1]                                 (one of several independent answers)

Intensities are rounded half up to 0.01, in decimal arithmetic on the label as it is written: the shortest
decimal number that is the label's float32 value (0.345 is 0.35 although the nearest float32 lies below it).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from aullava.text.errors import TextError
from datamodules.action_units import Scale

Values = Sequence[float] | npt.NDArray[np.float32]
Role = Literal["value", "units", "tenths", "hundredths"]

WORTH: Final[dict[Role, int]] = {"value": 100, "units": 100, "tenths": 10, "hundredths": 1}
"""What a step of one in a slot is worth, in hundredths."""

DIGITS: Final = tuple("0123456789")


class AnswerForm(StrEnum):
    """How the values are strung together."""

    NAMED = "named"  # AU1: 0, AU2: 1
    LIST = "list"  # [0, 1]
    COMPACT = "compact"  # [0,1], and [35,07] for 0.35 and 0.07: 1.00 is written as 99


@dataclass(frozen=True, slots=True)
class Fixed:
    """Text that the question alone decides."""

    text: str


@dataclass(frozen=True, slots=True)
class Slot:
    """One decision: a digit of one Action Unit's value.

    Attributes:
        au: the code it belongs to.
        role: which digit; "value" where a value is a single digit.
        choices: what may stand there, in rising order.
    """

    au: str
    role: Role
    choices: tuple[str, ...]


Template = tuple[Fixed | Slot, ...]


def answer_template(aus: Sequence[str], scale: Scale, form: AnswerForm) -> Template:
    """The answer to a question about `aus`, as fixed texts and slots.

    Raises:
        TextError: no Action Unit is asked, or one is asked twice.
    """
    if not aus:
        raise TextError("no Action Unit is asked: name at least one")
    twice = sorted({au for au in aus if list(aus).count(au) > 1})
    if twice:
        raise TextError(f"{', '.join(twice)} is asked more than once: name every Action Unit once")
    pieces: list[Fixed | Slot] = []
    for place, au in enumerate(aus):
        first, between = {
            AnswerForm.NAMED: (f"{au}: ", f", {au}: "),
            AnswerForm.LIST: ("[", ", "),
            AnswerForm.COMPACT: ("[", ","),
        }[form]
        pieces += [Fixed(between if place else first), *_value_slots(au, scale, form)]
    if form is not AnswerForm.NAMED:
        pieces.append(Fixed("]"))
    return tuple(pieces)


def branch_template(au: str, scale: Scale) -> Template:
    """The answer about one Action Unit that does not see the others, as it stands in the named form."""
    return (Fixed(f", {au}: "), *_value_slots(au, scale, AnswerForm.NAMED))


def _value_slots(au: str, scale: Scale, form: AnswerForm) -> Template:
    """The slots of one Action Unit's value."""
    match scale:
        case Scale.PRESENCE:
            return (Slot(au, "value", DIGITS[:2]),)
        case Scale.LEVEL:
            return (Slot(au, "value", DIGITS[:6]),)
        case Scale.INTENSITY:
            digits = (Slot(au, "tenths", DIGITS), Slot(au, "hundredths", DIGITS))
            if form is AnswerForm.COMPACT:
                return digits
            return (Slot(au, "units", DIGITS[:2]), Fixed("."), *digits)


def allowed(slot: Slot, units: str | None) -> tuple[str, ...]:
    """What may stand in a slot once the units digit of the same value is known.

    Args:
        slot: the slot.
        units: the units digit before it; None where the slot has none before it.
    """
    if units == "1" and slot.role in ("tenths", "hundredths"):
        return ("0",)
    return slot.choices


def slots(template: Template) -> tuple[Slot, ...]:
    """The decisions of a template, in order."""
    return tuple(piece for piece in template if isinstance(piece, Slot))


def hundredths(au: str, scale: Scale, value: float) -> int:
    """A label as a whole number of hundredths, rounded half up (presence 1 and level 1 are 100).

    Raises:
        TextError: the value is not a known value of its scale.
    """
    if not scale.allows(value):
        raise TextError(
            f"{au} has the value {value:g}, which is not on the scale '{scale}': it must be {scale.in_words}"
        )
    # A float32 prints as the shortest decimal that it is the nearest to; a float64 copy of it would not.
    written = Decimal(str(np.float32(value)))
    return int((written * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def answer_choices(
    aus: Sequence[str], scale: Scale, values: Values, has_units: bool = True
) -> tuple[str, ...]:
    """What stands in each slot when the answer gives `values`, in the order of `slots`.

    Args:
        aus: the codes.
        scale: of the values.
        values: [A].
        has_units: whether an intensity has a digit before the point; without it 1.00 becomes 0.99.

    Raises:
        TextError: the numbers of codes and values differ, or a value is not a known value of its scale.
    """
    if len(values) != len(aus):
        raise TextError(f"{len(aus)} Action Units but {len(values)} values: give every one its value")
    chosen: list[str] = []
    for au, value in zip(aus, values, strict=True):
        amount = hundredths(au, scale, float(value))
        if scale is Scale.INTENSITY and not has_units:
            chosen += f"{min(amount, 99):02d}"
            continue
        units, rest = divmod(amount, 100)
        chosen += [str(units), *f"{rest:02d}"] if scale is Scale.INTENSITY else [str(units)]
    return tuple(chosen)


def answer_pieces(aus: Sequence[str], scale: Scale, values: Values, form: AnswerForm) -> tuple[str, ...]:
    """The texts of the answer, one for each piece of `answer_template`.

    Raises:
        TextError: as `answer_template` and `answer_choices`.
    """
    template = answer_template(aus, scale, form)
    return filled(template, answer_choices(aus, scale, values, form is not AnswerForm.COMPACT))


def answer_text(aus: Sequence[str], scale: Scale, values: Values, form: AnswerForm) -> str:
    """The whole answer; raises as `answer_pieces`."""
    return "".join(answer_pieces(aus, scale, values, form))


def filled(template: Template, choices: Sequence[str]) -> tuple[str, ...]:
    """The texts of a template with one choice in each of its slots."""
    remaining = iter(choices)
    return tuple(piece.text if isinstance(piece, Fixed) else next(remaining) for piece in template)


def values_of(template: Template, choices: Iterable[str]) -> npt.NDArray[np.float32]:
    """The numbers that an answer says.

    Args:
        template: the answer's template.
        choices: what stands in each of its slots.

    Returns:
        float32 [A] in the order of the question, each the float32 nearest to what is written.
    """
    amounts: dict[str, int] = {}
    for slot, choice in zip(slots(template), choices, strict=True):
        amounts[slot.au] = amounts.get(slot.au, 0) + WORTH[slot.role] * int(choice)
    return np.array([amount / 100 for amount in amounts.values()], dtype=np.float32)
