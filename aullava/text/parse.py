"""From a written answer back to numbers: strictly, for an answer that is nearly right is not an answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aullava.text.errors import AnswerError
from aullava.text.grammar import AnswerForm, Fixed, allowed, answer_template, values_of
from datamodules.action_units import Scale


def parse_answer(text: str, aus: Sequence[str], scale: Scale, form: AnswerForm) -> npt.NDArray[np.float32]:
    """Reads an answer, which must follow its grammar from the first character to the last.

    Args:
        text: the answer, without special tokens.
        aus: the codes asked, in order.
        scale: the format asked for.
        form: how the values are strung together.

    Returns:
        float32 [A] in the order of `aus`: what the answer says, exactly.

    Raises:
        AnswerError: the text departs from the grammar; the message says where.
        TextError: as `answer_template`.
    """
    template = answer_template(aus, scale, form)
    position = 0
    units: str | None = None
    chosen: list[str] = []
    for piece in template:
        if isinstance(piece, Fixed):
            if not text.startswith(piece.text, position):
                raise AnswerError.of(text, position, repr(piece.text))
            position += len(piece.text)
            continue
        choices = allowed(piece, units)
        choice = text[position : position + 1]
        if choice not in choices:
            raise AnswerError.of(text, position, f"{' or '.join(choices)} for {piece.au}")
        position += 1
        chosen.append(choice)
        units = choice if piece.role == "units" else units
    if position != len(text):
        raise AnswerError.of(text, position, "its end")
    return values_of(template, chosen)
