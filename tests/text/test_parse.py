"""The parser takes what the grammar says and nothing else."""

import numpy as np
import pytest

from aullava.text.errors import AnswerError
from aullava.text.grammar import AnswerForm, answer_text
from aullava.text.parse import parse_answer
from datamodules.action_units import Scale

AUS = ("AU1", "AU12L")


@pytest.mark.parametrize(
    ("scale", "form", "text"),
    [
        (Scale.PRESENCE, AnswerForm.NAMED, ""),
        (Scale.PRESENCE, AnswerForm.NAMED, "AU1: 0"),  # one is missing
        (Scale.PRESENCE, AnswerForm.NAMED, "AU12L: 1"),
        (Scale.PRESENCE, AnswerForm.NAMED, "AU12L: 1, AU1: 0"),  # wrong order
        (Scale.PRESENCE, AnswerForm.NAMED, "AU1: 0, AU12R: 1"),  # the other side
        (Scale.PRESENCE, AnswerForm.NAMED, "AU1: 0, AU12: 1"),
        (Scale.PRESENCE, AnswerForm.NAMED, "AU1: 0, AU12L: 1."),  # text after it
        (Scale.PRESENCE, AnswerForm.NAMED, "AU1: 0, AU12L: 1\n"),
        (Scale.PRESENCE, AnswerForm.NAMED, "AU1: 0, AU12L: 10"),
        (Scale.PRESENCE, AnswerForm.NAMED, " AU1: 0, AU12L: 1"),  # text before it
        (Scale.PRESENCE, AnswerForm.NAMED, "AU1: 0,  AU12L: 1"),  # double space
        (Scale.PRESENCE, AnswerForm.NAMED, "AU1:  0, AU12L: 1"),
        (Scale.PRESENCE, AnswerForm.NAMED, "au1: 0, au12l: 1"),  # lower case
        (Scale.PRESENCE, AnswerForm.NAMED, "AU1: 2, AU12L: 1"),  # out of range
        (Scale.PRESENCE, AnswerForm.NAMED, "AU1: \u0661, AU12L: 1"),  # a digit, but not an ASCII one
        (Scale.PRESENCE, AnswerForm.NAMED, "[0, 1]"),  # the other form
        (Scale.PRESENCE, AnswerForm.LIST, "AU1: 0, AU12L: 1"),
        (Scale.PRESENCE, AnswerForm.LIST, "[0, 1, 0]"),  # one too many
        (Scale.PRESENCE, AnswerForm.LIST, "[0, 1"),
        (Scale.PRESENCE, AnswerForm.LIST, "[0 1]"),
        (Scale.LEVEL, AnswerForm.LIST, "[0, 6]"),
        (Scale.LEVEL, AnswerForm.LIST, "[0, -1]"),
        (Scale.LEVEL, AnswerForm.LIST, "[0, 3.0]"),
        (Scale.INTENSITY, AnswerForm.LIST, "[0.00, 1.01]"),
        (Scale.INTENSITY, AnswerForm.LIST, "[0.00, 1.10]"),
        (Scale.INTENSITY, AnswerForm.LIST, "[1.00, 2.00]"),
        (Scale.INTENSITY, AnswerForm.LIST, "[0.0, 1.00]"),  # one decimal
        (Scale.INTENSITY, AnswerForm.LIST, "[0.000, 1.00]"),
        (Scale.INTENSITY, AnswerForm.LIST, "[0, 1]"),
        (Scale.INTENSITY, AnswerForm.LIST, "[.50, 1.00]"),
    ],
)
def test_anything_but_the_grammar_is_refused(scale: Scale, form: AnswerForm, text: str) -> None:
    with pytest.raises(AnswerError, match="at character"):
        parse_answer(text, AUS, scale, form)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AU1: 0; AU12L: 1", "the answer has '; AU12L: 1' at character 6 where ', AU12L: ' must stand"),
        ("AU1: 3, AU12L: 1", "the answer has '3, AU12L: 1' at character 5 where 0 or 1 for AU1 must stand"),
        ("AU1: 0, AU12L: ", "the answer has its end at character 15 where 0 or 1 for AU12L must stand"),
        ("AU1: 0, AU12L: 1 ok", "the answer has ' ok' at character 16 where its end must stand"),
    ],
)
def test_message_says_where_and_what(text: str, message: str) -> None:
    with pytest.raises(AnswerError) as caught:
        parse_answer(text, AUS, Scale.PRESENCE, AnswerForm.NAMED)
    assert str(caught.value) == message


@pytest.mark.parametrize("form", AnswerForm)
@pytest.mark.parametrize("scale", Scale)
def test_no_single_change_of_a_character_passes_unnoticed(scale: Scale, form: AnswerForm) -> None:
    """Every edit of a right answer is refused, or says another value."""
    text = answer_text(AUS, scale, [1, 0], form)
    right = parse_answer(text, AUS, scale, form)
    for place in range(len(text)):
        for new in ("", " ", "0", "1", "7", ",", text[place] * 2):
            edited = text[:place] + new + text[place + 1 :]
            if edited == text:
                continue
            try:
                read = parse_answer(edited, AUS, scale, form)
            except AnswerError:
                continue
            assert not np.array_equal(read, right), edited
