"""The frame of a question: what a language model was taught to expect around what a user says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from aullava.text.errors import TextError

LLAVA_SYSTEM: Final = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the user's questions."
)
"""What LLaVA-1.5 (version v1 of its training) and Vicuna 1.1 to 1.5 were trained behind."""

_QUESTION: Final = "(the question)"


class Layout(StrEnum):
    """How the question is wrapped for the language model."""

    PLAIN = "plain"  # the bare text, for a model without a chat format
    LLAVA_V1 = "llava_v1"  # system, USER:, question, ASSISTANT:
    CHAT_TEMPLATE = "chat_template"  # the tokenizer's own


@dataclass(frozen=True, slots=True)
class Frame:
    """Text around a question.

    Attributes:
        before: stands before its first word (or the image, where that comes first).
        after: stands between its last word and the answer.
    """

    before: str = ""
    after: str = "\n"


NO_FRAME: Final = Frame()
"""Nothing but a new line before the answer."""


class ChatTokenizer(Protocol):
    """The part of a Hugging Face tokenizer that knows how a chat is written."""

    @property
    def name_or_path(self) -> str:
        """Where it came from, for messages."""
        ...

    @property
    def bos_token(self) -> Any:
        """The text of the id that begins a text, if it has one."""
        ...

    @property
    def chat_template(self) -> Any:
        """The Jinja source, None without one."""
        ...

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> Any:
        """A chat as text."""
        ...


def frame_of(layout: Layout, tokenizer: ChatTokenizer) -> Frame:
    """The frame of a layout.

    Args:
        layout: which.
        tokenizer: read for `CHAT_TEMPLATE` only: its template writes one message of a user, behind whatever
            system message it writes by itself.

    Raises:
        TextError: the tokenizer has no chat template, or one that does not write what the user says once.
    """
    if layout is Layout.PLAIN:
        return NO_FRAME
    if layout is Layout.LLAVA_V1:
        return Frame(f"{LLAVA_SYSTEM} USER: ", " ASSISTANT:")
    name = tokenizer.name_or_path
    if tokenizer.chat_template is None:
        raise TextError(
            f"text.layout is 'chat_template', but the tokenizer '{name}' has none: "
            f"write text.layout={Layout.PLAIN} or {Layout.LLAVA_V1}"
        )
    chat = [{"role": "user", "content": _QUESTION}]
    written = str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
    before, found, after = written.partition(_QUESTION)
    if not found or _QUESTION in after:
        raise TextError(
            f"the chat template of the tokenizer '{name}' does not write what the user says once: "
            f"write text.layout={Layout.PLAIN}"
        )
    # The collator begins every text with this id itself.
    return Frame(before.removeprefix(tokenizer.bos_token or ""), after)
