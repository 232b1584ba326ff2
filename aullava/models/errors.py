"""What can be wrong with a model or a checkpoint, each in one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import ClassVar


class ModelError(Exception):
    """A model cannot be built as asked; the message is one sentence for the user.

    Whatever another library said inside the message is folded into that line.
    """

    for_user: ClassVar[bool] = True

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class MissingModelError(ModelError):
    """A model folder, or a file that must lie in it, is not there."""


class CheckpointMismatchError(ModelError):
    """Trained weights belong to a model of other parts or other shapes."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The entry of `known` that looks most like `word`, upper and lower case alike.

    Raises:
        ValueError: `known` is empty.
    """
    return max(known, key=lambda candidate: SequenceMatcher(None, word.lower(), candidate.lower()).ratio())
