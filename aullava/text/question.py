"""The question: what it is for, what each Action Unit looks like, what the answer must look like.

The purpose and the definitions never depend on the format of the answer. With `definitions_first`, everything
up to the image is therefore the same for all images of a dataset and all formats, and can be computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aullava.text.layout import NO_FRAME, Frame
from datamodules.action_units import ActionUnit, Scale, action_unit


class Order(StrEnum):
    """Where the image stands among the parts of the question."""

    DEFINITIONS_FIRST = "definitions_first"  # purpose, definitions, image, expected output
    IMAGE_FIRST = "image_first"  # image, purpose, definitions, expected output (LLaVA's order)
    QUESTION_FIRST = "question_first"  # purpose, definitions, expected output, image


@dataclass(frozen=True, slots=True)
class QuestionStyle:
    """How questions are written; one style per run.

    Attributes:
        order: where the image stands.
        definitions: whether each Action Unit is described, or only its code is listed.
        frame: what stands around them (`aullava.text.layout`).
    """

    order: Order = Order.DEFINITIONS_FIRST
    definitions: bool = True
    frame: Frame = NO_FRAME


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """Stands in a question where the image's tokens go."""


IMAGE: Final = ImagePlace()

QuestionPiece = str | ImagePlace

PURPOSE: Final = "Read the facial Action Units of this person."
SIDES: Final = "Left and right are the person's own."
EXPECTED: Final = {
    Scale.PRESENCE: "Answer 1 if present, 0 if absent.",
    Scale.LEVEL: "Answer with a level from 0 to 5.",
    Scale.INTENSITY: "Answer with a value from 0.00 to 1.00.",
}


def question(aus: Sequence[str], scale: Scale, style: QuestionStyle) -> tuple[QuestionPiece, ...]:
    """Writes the question about some Action Units of one image.

    Args:
        aus: the codes asked, in the order in which they are answered.
        scale: the format of the answer.
        style: how it is written.

    Returns:
        Pieces of text and exactly one `IMAGE`; the answer begins where the last piece ends. The pieces are
        tokenised one by one.

    Raises:
        UnknownActionUnitError: a code is not in the vocabulary.
    """
    subject = _purpose_and_units([action_unit(code) for code in aus], style.definitions)
    before, after = style.frame.before, style.frame.after
    match style.order:
        case Order.DEFINITIONS_FIRST:
            pieces: tuple[QuestionPiece, ...] = (before + subject, IMAGE, f"\n{EXPECTED[scale]}{after}")
        case Order.IMAGE_FIRST:
            pieces = (before, IMAGE, f"\n{subject}{EXPECTED[scale]}{after}")
        case Order.QUESTION_FIRST:
            pieces = (f"{before}{subject}{EXPECTED[scale]}\n", IMAGE, after)
    return tuple(piece for piece in pieces if piece != "")


def asking_text(aus: Sequence[str], scale: Scale, style: QuestionStyle) -> str:
    """The words of a question alone, as a user of an exported model sends them: without image and frame."""
    subject = _purpose_and_units([action_unit(code) for code in aus], style.definitions)
    return subject + EXPECTED[scale]


def _purpose_and_units(units: Sequence[ActionUnit], definitions: bool) -> str:
    """The part of the question that the format of the answer does not touch."""
    has_sides = any(unit.mirror != unit.code for unit in units)
    purpose = f"{PURPOSE} {SIDES}" if has_sides else PURPOSE
    if definitions:
        listed = "\n".join(f"{unit.code} {unit.name}: {unit.description}" for unit in units)
    else:
        listed = ", ".join(unit.code for unit in units)
    return f"{purpose}\n{listed}\n"
