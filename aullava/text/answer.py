"""What a model answered about one sample, as text and as numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
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


def _none() -> Floats:
    return np.zeros(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Readings:
    """What the slots of one answer say beside its text, all [A] float32 in the order of its Action Units.

    Attributes:
        probs: as `Answer.slot_probs`.
        expected: as `Answer.expected`.
        spread: as `Answer.spread`.
    """

    probs: Floats
    expected: Floats
    spread: Floats


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
        expected: [A] float32, the mean of what the grammar allows, by its probabilities, on the scale of
            `values`; NaN in free answers, empty where nobody computed it.
        spread: [A] float32, the standard deviation that belongs to it.
        certified: whether unrestricted greedy decoding would have written this very text; None: not found
            out.
    """

    sample_id: str
    aus: tuple[str, ...]
    scale: Scale
    text: str
    values: Floats
    valid: bool
    slot_probs: Floats
    expected: Floats = field(default_factory=_none)
    spread: Floats = field(default_factory=_none)
    certified: bool | None = None

    @classmethod
    def restricted(
        cls,
        sample_id: str,
        grammar: TokenGrammar,
        ids: list[int],
        readings: Readings,
        certified: bool | None = None,
    ) -> Self:
        """An answer whose ids were chosen among those that `grammar` allows."""
        return cls(
            sample_id=sample_id,
            aus=grammar.aus,
            scale=grammar.scale,
            text=grammar.text(ids),
            values=grammar.decode(ids),
            valid=True,
            slot_probs=readings.probs,
            expected=readings.expected,
            spread=readings.spread,
            certified=certified,
        )

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
        # An answer that cannot be read is a result to be counted, not a mistake of the user.
        try:
            values = parse_answer(text, grammar.aus, grammar.scale, form) if finished else None
        except AnswerError:
            values = None
        valid = values is not None
        if values is None:
            values = np.full(len(grammar.aus), UNKNOWN, dtype=np.float32)
        no = np.full(len(grammar.aus), np.nan, dtype=np.float32)
        return cls(sample_id, grammar.aus, grammar.scale, text, values, valid, no, no, no, valid)
