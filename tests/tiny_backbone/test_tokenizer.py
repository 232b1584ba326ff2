from __future__ import annotations

from typing import Any, cast

import pytest
from transformers import PreTrainedTokenizerFast

from aullava.text.grammar import AnswerForm
from aullava.text.tokens import TokenGrammar, Tokenizer
from aullava.tiny_backbone.tokenizer import VOCABULARY, train_tokenizer
from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS, Scale, action_unit, codes

LISTS = {"bp4d": BP4D_AUS, "disfa": DISFA_AUS, "feafa": FEAFA_AUS}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer()


def _pieces(tokenizer: PreTrainedTokenizerFast, text: str) -> list[str]:
    ids = cast(list[int], tokenizer.encode(text, add_special_tokens=False))
    return [str(tokenizer.decode([token])) for token in ids]


def test_the_same_texts_give_the_same_tokenizer(tokenizer: PreTrainedTokenizerFast) -> None:
    again: Any = train_tokenizer()
    assert again.backend_tokenizer.to_str() == cast(Any, tokenizer).backend_tokenizer.to_str()
    assert len(tokenizer) <= VOCABULARY


@pytest.mark.parametrize("aus", LISTS.values(), ids=LISTS)
def test_every_code_of_the_standard_lists_is_one_token(
    aus: tuple[str, ...], tokenizer: PreTrainedTokenizerFast
) -> None:
    assert [code for code in aus if _pieces(tokenizer, code) != [code]] == []
    # With the punctuation that an answer puts around it, too.
    assert [code for code in aus if len(_pieces(tokenizer, f", {code}: ")) != 1] == []


def test_digits_stand_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    assert _pieces(tokenizer, "0.35 100") == ["0", ".", "3", "5", " ", "1", "0", "0"]


def test_a_definition_is_a_few_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    lengths = [len(_pieces(tokenizer, action_unit(code).description)) for code in BP4D_AUS]
    assert max(lengths) <= 8


@pytest.mark.parametrize(
    "text",
    [
        "Grüße, 你好 🙂\n\t 12.5% of AU999, AD29x and A+B",
        "",
        "AAAA AU12LR AU1+2 AU1+2L,AU12: 0",
        "".join(map(chr, range(1, 256))),
        " leading and trailing  ",
    ],
)
def test_any_text_comes_back(text: str, tokenizer: PreTrainedTokenizerFast) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


@pytest.mark.parametrize("form", AnswerForm)
@pytest.mark.parametrize("scale", Scale)
def test_every_decision_of_every_answer_is_one_token(
    scale: Scale, form: AnswerForm, tokenizer: PreTrainedTokenizerFast
) -> None:
    # Compiling refuses a slot whose choices are not one token each.
    grammar = TokenGrammar.compile(cast(Tokenizer, tokenizer), codes(), scale, form)
    assert len(grammar.aus) == len(codes())
    assert tokenizer.convert_ids_to_tokens([0, 1, 2]) == ["<pad>", "<s>", "</s>"]
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)
