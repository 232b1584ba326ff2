"""The question: its parts, their order, and what does not depend on the format."""

import pytest

from aullava.text.errors import TextError, choose
from aullava.text.grammar import AnswerForm
from aullava.text.layout import Layout
from aullava.text.question import EXPECTED, IMAGE, PURPOSE, SIDES, Order, QuestionStyle, question
from aullava.text.tokens import Tokenizer, piece_ids
from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS, Scale
from datamodules.errors import UnknownActionUnitError

DEFINITION = "AU12 lip corner puller: The lip corners are pulled back and up.\n"


def test_the_whole_default_question() -> None:
    assert question(("AU12", "AU1"), Scale.PRESENCE, QuestionStyle()) == (
        "Read the facial Action Units of this person.\n"
        "AU12 lip corner puller: The lip corners are pulled back and up.\n"
        "AU1 inner brow raiser: The inner ends of the eyebrows are raised.\n",
        IMAGE,
        "\nAnswer 1 if present, 0 if absent.\n",
    )


@pytest.mark.parametrize("scale", Scale)
@pytest.mark.parametrize(
    ("order", "parts"),
    [
        (Order.DEFINITIONS_FIRST, ["purpose", "definition", "image", "expected"]),
        (Order.IMAGE_FIRST, ["image", "purpose", "definition", "expected"]),
        (Order.QUESTION_FIRST, ["purpose", "definition", "expected", "image"]),
    ],
)
def test_order_of_the_parts(scale: Scale, order: Order, parts: list[str]) -> None:
    pieces = question(("AU12",), scale, QuestionStyle(order))
    assert pieces.count(IMAGE) == 1
    text = "".join(piece if isinstance(piece, str) else "<image>" for piece in pieces)
    marks = {"purpose": PURPOSE, "definition": DEFINITION, "image": "<image>", "expected": EXPECTED[scale]}
    assert all(text.count(mark) == 1 for mark in marks.values())
    assert sorted(marks, key=lambda part: text.index(marks[part])) == parts
    assert text.endswith("\n")


@pytest.mark.parametrize("aus", [BP4D_AUS, DISFA_AUS, FEAFA_AUS])
@pytest.mark.parametrize("definitions", [True, False])
def test_all_before_the_image_is_the_same_in_every_format(
    tokenizer: Tokenizer, aus: tuple[str, ...], definitions: bool
) -> None:
    style = QuestionStyle(definitions=definitions)
    questions = [question(aus, scale, style) for scale in Scale]
    before = {pieces[: pieces.index(IMAGE)] for pieces in questions}
    after = {pieces[pieces.index(IMAGE) + 1 :] for pieces in questions}
    assert len(before) == 1
    assert len(after) == len(Scale)
    assert len({tuple(piece_ids(tokenizer, str(piece)) for piece in pieces) for pieces in before}) == 1


def test_without_definitions_only_the_codes_are_listed() -> None:
    purpose, *_ = question(("AU12", "AU1"), Scale.LEVEL, QuestionStyle(definitions=False))
    assert purpose == "Read the facial Action Units of this person.\nAU12, AU1\n"


@pytest.mark.parametrize(("aus", "told"), [(("AU12L",), True), (("AU51",), True), (("AU12", "AU28T"), False)])
@pytest.mark.parametrize("definitions", [True, False])
def test_whose_left_it_is_is_said_where_it_matters(
    aus: tuple[str, ...], told: bool, definitions: bool
) -> None:
    text = str(question(aus, Scale.INTENSITY, QuestionStyle(definitions=definitions))[0])
    assert (SIDES in text) == told


def test_unknown_code_is_named() -> None:
    with pytest.raises(UnknownActionUnitError, match="AU1222"):
        question(("AU1222",), Scale.PRESENCE, QuestionStyle())


def test_words_of_a_configuration() -> None:
    assert choose(Order, "image_first", "text.order") is Order.IMAGE_FIRST
    assert choose(Layout, "plain", "text.layout") is Layout.PLAIN
    with pytest.raises(TextError) as caught:
        choose(AnswerForm, "named_list", "answer.form")
    said = "answer.form: 'named_list' is none of named, list, compact; choose one of them"
    assert str(caught.value) == said
