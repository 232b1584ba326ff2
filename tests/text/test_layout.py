"""The frame of a question: none, LLaVA's, or the tokenizer's own."""

from __future__ import annotations

from typing import Any

import pytest

from aullava.text.errors import TextError
from aullava.text.layout import LLAVA_SYSTEM, Frame, Layout, frame_of
from aullava.text.question import IMAGE, Order, QuestionStyle, asking_text, question
from datamodules.action_units import Scale
from tests.text.helpers import byte_level_bpe

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def chatty(template: str | None, bos: str = "<s>") -> Any:
    tokenizer: Any = byte_level_bpe(bos_token=bos, eos_token="</s>", pad_token="<pad>")
    tokenizer.chat_template = template
    return tokenizer


def whole(pieces: tuple[Any, ...]) -> str:
    return "".join("<image>" if piece is IMAGE else piece for piece in pieces)


def test_llava_s_frame_is_llava_s() -> None:
    """The prompt of LLaVA-1.5 for a question, character by character."""
    style = QuestionStyle(Order.IMAGE_FIRST, False, frame_of(Layout.LLAVA_V1, chatty(None)))
    assert whole(question(("AU1", "AU12"), Scale.PRESENCE, style)) == (
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
        "helpful, detailed, and polite answers to the user's questions. USER: <image>\n"
        "Read the facial Action Units of this person.\nAU1, AU12\n"
        "Answer 1 if present, 0 if absent. ASSISTANT:"
    )


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("layout", Layout)
def test_a_frame_stands_around_the_question_and_changes_nothing_in_it(order: Order, layout: Layout) -> None:
    frame = frame_of(layout, chatty(CHATML))
    framed = whole(question(("AU1",), Scale.LEVEL, QuestionStyle(order, True, frame)))
    bare = whole(question(("AU1",), Scale.LEVEL, QuestionStyle(order, True, Frame("", ""))))
    assert framed == frame.before + bare + frame.after
    words = asking_text(("AU1",), Scale.LEVEL, QuestionStyle(order))
    assert words.split() == bare.replace("<image>", " ").split()


def test_the_tokenizer_s_own_template_is_used() -> None:
    frame = frame_of(Layout.CHAT_TEMPLATE, chatty(CHATML))
    assert frame == Frame("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")


def test_a_template_that_writes_the_first_id_itself_does_not_write_it_twice() -> None:
    assert frame_of(Layout.CHAT_TEMPLATE, chatty("{{ bos_token }}" + CHATML)).before == "<|im_start|>user\n"
    assert frame_of(Layout.CHAT_TEMPLATE, chatty(CHATML, "<|im_start|>")).before == "user\n"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (None, "the tokenizer 'small-bpe' has none: write text.layout=plain or llava_v1"),
        ("{{ 'always the same' }}", "does not write what the user says once"),
        ("{{ messages[0]['content'] + messages[0]['content'] }}", "does not write what the user says once"),
    ],
)
def test_a_tokenizer_without_a_usable_template_is_refused(template: str | None, said: str) -> None:
    with pytest.raises(TextError, match=said):
        frame_of(Layout.CHAT_TEMPLATE, chatty(template))
    assert LLAVA_SYSTEM in frame_of(Layout.LLAVA_V1, chatty(template)).before
