"""What validation, test and predict ask of a decoder, and the reference as one."""

from __future__ import annotations

from typing import Protocol

from aullava.decoding.generate import answer_prompts
from aullava.models.vlm import FaceLanguageModel
from aullava.text.answer import Answer
from aullava.text.batch import PromptBatch
from aullava.text.collate import Collator


class Decoder(Protocol):
    """Writes answers to questions."""

    def answers(self, prompts: PromptBatch) -> list[Answer]:
        """One answer for each row of a batch, in order."""
        ...

    def forget(self) -> None:
        """Drop what was computed with the weights of before; to be called when they have changed."""
        ...


class Reference:
    """Token by token: what every other decoder is checked against.

    Args:
        model: on any device.
        collator: writes the questions.
    """

    def __init__(self, model: FaceLanguageModel, collator: Collator) -> None:
        self.model = model
        self.collator = collator

    def answers(self, prompts: PromptBatch) -> list[Answer]:
        """As `answer_prompts`."""
        return answer_prompts(self.model, self.collator, prompts)

    def forget(self) -> None:
        """Nothing is kept."""
