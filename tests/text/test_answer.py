from __future__ import annotations

import numpy as np
import pytest

from aullava.text.answer import Answer, Readings
from aullava.text.grammar import AnswerForm
from aullava.text.tokens import TokenGrammar, Tokenizer
from datamodules.action_units import UNKNOWN, Scale


@pytest.fixture
def grammar(tokenizer: Tokenizer) -> TokenGrammar:
    return TokenGrammar.compile(tokenizer, ("AU1", "AU4"), Scale.INTENSITY, AnswerForm.NAMED)


def test_a_restricted_answer_says_what_its_ids_say(grammar: TokenGrammar) -> None:
    ids = list(grammar.encode([0.35, 1.0]))
    readings = Readings(*np.array([[0.5] * 2, [0.25] * 2, [0.125] * 2], np.float32))
    answer = Answer.restricted("a", grammar, ids, readings, certified=True)
    assert (answer.text, answer.valid, answer.certified) == ("AU1: 0.35, AU4: 1.00", True, True)
    assert [answer.slot_probs[0], answer.expected[0], answer.spread[0]] == [0.5, 0.25, 0.125]
    np.testing.assert_array_equal(answer.values, np.array([0.35, 1.0], dtype=np.float32))


def test_a_free_answer_is_read(grammar: TokenGrammar) -> None:
    answer = Answer.free("a", grammar, AnswerForm.NAMED, "AU1: 0.35, AU4: 1.00", finished=True)
    assert answer.valid
    np.testing.assert_array_equal(answer.values, np.array([0.35, 1.0], dtype=np.float32))


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("AU1: 0.35, AU4: 1.00", False),  # cut off: nobody knows what would have come
        ("AU1: 0.35, AU4: 1.01", True),
        ("AU1: 0.35", True),
        ("AU1: 0.35, AU4: 1.00 ", True),
        ("AU1: 0.35, <s>AU4: 1.00", True),
        ("[0.35, 1.00]", True),
        ("", True),
    ],
)
def test_a_free_answer_that_cannot_be_read_is_unknown_and_never_absent(
    grammar: TokenGrammar, text: str, finished: bool
) -> None:
    answer = Answer.free("a", grammar, AnswerForm.NAMED, text, finished)
    assert (answer.valid, answer.text) == (False, text)
    np.testing.assert_array_equal(answer.values, [UNKNOWN, UNKNOWN])
    assert np.isnan(answer.slot_probs).all()
