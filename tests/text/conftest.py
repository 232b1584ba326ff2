"""Tokenizers and collators that the tests of the text share."""

import pytest

from aullava.text.collate import Collator
from aullava.text.grammar import AnswerForm
from aullava.text.question import QuestionStyle
from aullava.text.tokens import Tokenizer
from tests.text.helpers import IMAGE_TOKENS, byte_level_bpe, preprocess


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return byte_level_bpe(bos_token="<s>", eos_token="</s>", pad_token="<pad>")


@pytest.fixture
def collator(tokenizer: Tokenizer) -> Collator:
    return Collator(tokenizer, QuestionStyle(), AnswerForm.NAMED, IMAGE_TOKENS, preprocess, max_length=2048)
