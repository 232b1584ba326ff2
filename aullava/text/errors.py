"""What can be wrong with a question or an answer, each in one sentence.

As in `datamodules.errors`, the wording stands in `of` and the constructors take the finished message alone,
so that an error keeps its type when a DataLoader worker raises it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Self, TypeVar

Choice = TypeVar("Choice", bound=StrEnum)


class TextError(Exception):
    """A question or an answer cannot be written; the message is one sentence for the user."""

    for_user: ClassVar[bool] = True


class AnswerError(TextError):
    """An answer does not follow the grammar."""

    @classmethod
    def of(cls, text: str, position: int, expected: str) -> Self:
        """`text` departs from the grammar at character `position`, where `expected` should stand."""
        found = repr(text[position : position + 12]) if position < len(text) else "its end"
        return cls(f"the answer has {found} at character {position} where {expected} must stand")


class ContextLengthError(TextError):
    """A question with its answer is longer than the language model's context."""

    @classmethod
    def of(cls, sample_id: str, length: int, limit: int) -> Self:
        """`length` tokens are needed, `limit` are there."""
        return cls(
            f"sample '{sample_id}' needs {length} tokens but the context holds {limit}: ask about fewer "
            "Action Units, set text.definitions=false, or raise llm.max_length"
        )


class NoSupervisionError(TextError):
    """A sample has no known label, so that nothing can be asked or learned."""

    @classmethod
    def of(cls, sample_id: str) -> Self:
        """`sample_id` is the sample without a label."""
        return cls(
            f"sample '{sample_id}' has no known label: leave it out, or choose Action Units that are coded "
            "in it"
        )


def choose(kind: type[Choice], word: str, setting: str) -> Choice:
    """The member of `kind` that a configuration's `word` names.

    Args:
        kind: `Order`, `Layout` or `AnswerForm`.
        word: what stands in the configuration.
        setting: the key it stands under, for the message.

    Raises:
        TextError: no such member; the message lists all of them.
    """
    try:
        return kind(word)
    except ValueError:
        raise TextError(f"{setting}: '{word}' is none of {', '.join(kind)}; choose one of them") from None
