"""What a model answered about one sample, as text and as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from aullava.text.errors import AnswerError
from aullava.text.grammar import AnswerForm
from aullava.text.parse import parse_answer
from aullava.text.tokens import TokenGrammar
from datamodules.action_units import UNKNOWN, Scale

__all__ = ["Answer", "Scale"]  # decoding speaks of an answer's scale and may import the text room only

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        sample_id: whom it is about.
        aus: the codes asked, in the order of the answer.
        scale: the format asked for.
        text: what the model wrote, without the end of the sequence.
        values: [A] float32, in the order of `aus`; UNKNOWN everywhere if the answer is not valid.
        valid: whether the text follows the grammar to its end; an answer that does not never means "absent".
        slot_probs: [A] float32, among what the grammar allows: the probability of "1" for presence, of what
            was chosen for levels and intensities (the product over its digits); NaN in free answers.
    """

    sample_id: str
    aus: tuple[str, ...]
    scale: Scale
    text: str
    values: Floats
    valid: bool
    slot_probs: Floats

    @classmethod
    def restricted(cls, sample_id: str, grammar: TokenGrammar, ids: list[int], slot_probs: Floats) -> Self:
        """An answer whose ids were chosen among those that `grammar` allows."""
        values = grammar.decode(ids)
        return cls(sample_id, grammar.aus, grammar.scale, grammar.text(ids), values, True, slot_probs)

    @classmethod
    def free(cls, sample_id: str, grammar: TokenGrammar, form: AnswerForm, text: str, finished: bool) -> Self:
        """An answer written freely to the question that `grammar` belongs to.

        Args:
            sample_id: whom it is about.
            grammar: what an answer should look like.
            form: how its values should be strung together.
            text: what was written, without the end of the sequence but with any other special token.
            finished: whether the model ended the answer by itself.
        """
        values: Floats | None = None
        no_probs = np.full(len(grammar.aus), np.nan, dtype=np.float32)
        # An answer that cannot be read is a result to be counted, not a mistake of the user.
        try:
            values = parse_answer(text, grammar.aus, grammar.scale, form) if finished else None
        except AnswerError:
            values = None
        valid = values is not None
        if values is None:
            values = np.full(len(grammar.aus), UNKNOWN, dtype=np.float32)
        return cls(sample_id, grammar.aus, grammar.scale, text, values, valid, no_probs)
