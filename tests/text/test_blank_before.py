"""Tokenizers that put a blank before every text: pieces come out without it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from aullava.text.errors import TextError
from aullava.text.grammar import AnswerForm, answer_text
from aullava.text.question import Order, QuestionStyle, question
from aullava.text.tokens import TokenGrammar, Tokenizer, piece_ids
from datamodules.action_units import FEAFA_AUS, Scale
from tests.model_folders import sentencepiece_bpe
from tests.text.helpers import byte_level_bpe


@pytest.fixture(params=[True, False], ids=["normalizer", "metaspace"])
def llama(request: pytest.FixtureRequest) -> Tokenizer:
    return sentencepiece_bpe(request.param)


def spelled(tokenizer: Tokenizer, ids: tuple[int, ...]) -> str:
    """What ids say, letter by letter, without the tokenizer's own treatment of a first blank."""
    pieces = cast(Any, tokenizer).convert_ids_to_tokens(list(ids))
    text = "".join(
        chr(int(piece[3:5], 16)) if piece.startswith("<0x") else piece.replace("\u2581", " ")
        for piece in pieces
    )
    return text.removesuffix("</s>")


def test_it_does_put_a_blank_before(llama: Tokenizer) -> None:
    assert spelled(llama, tuple(llama.encode("0", add_special_tokens=False))) == " 0"


@pytest.mark.parametrize(
    "text", ["0", ", AU12: ", "AU1: ", "\n", "\nAnswer", " marked AU4", ":x0_", "]", "AU"]
)
def test_a_piece_is_what_it_says(llama: Tokenizer, text: str) -> None:
    assert spelled(llama, piece_ids(llama, text)) == text


@pytest.mark.parametrize("order", Order)
def test_questions_are_what_they_say(llama: Tokenizer, order: Order) -> None:
    for piece in question(FEAFA_AUS, Scale.INTENSITY, QuestionStyle(order)):
        if isinstance(piece, str):
            assert spelled(llama, piece_ids(llama, piece)) == piece


@pytest.mark.parametrize("form", AnswerForm)
@pytest.mark.parametrize("scale", Scale)
def test_answers_keep_one_token_for_each_decision(llama: Tokenizer, scale: Scale, form: AnswerForm) -> None:
    values = [0.5 if scale is Scale.INTENSITY else 1.0] + [0.0] * 23
    grammar = TokenGrammar.compile(llama, FEAFA_AUS, scale, form)
    ids = grammar.encode(values)
    assert spelled(llama, ids) == answer_text(FEAFA_AUS, scale, values, form)
    assert grammar.decode(ids).tolist() == values


def test_the_ids_are_those_of_the_whole_text(llama: Tokenizer) -> None:
    """Where no token reaches over a border, piece by piece is the same as at once."""
    grammar = TokenGrammar.compile(llama, ("AU1", "AU12"), Scale.LEVEL, AnswerForm.NAMED)
    at_once = cast(Any, llama).encode("\nAU1: 3, AU12: 0", add_special_tokens=False)
    assert at_once[2:] == list(grammar.encode([3.0, 0.0]))[:-1]


def test_other_tokenizers_are_left_as_they_are() -> None:
    plain = byte_level_bpe(eos_token="</s>")
    for text in ("0", ", AU12: ", "\n", " a"):
        assert piece_ids(plain, text) == tuple(plain.encode(text, add_special_tokens=False))


def test_a_tokenizer_that_joins_whatever_it_can_is_refused() -> None:
    class Sticky:
        """One token for "0" behind anything, else one token for the whole text."""

        name_or_path = "sticky"
        bos_token_id = None
        eos_token_id = 1
        pad_token_id = None

        def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
            head = [2] if len(text) == 1 else [2, 3]
            return head if text.endswith("0") or len(text) == 1 else [4]

    with pytest.raises(TextError, match="'sticky' cannot write 'AU' without a blank"):
        piece_ids(Sticky(), "AU")
