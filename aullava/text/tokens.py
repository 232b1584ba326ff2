"""The grammar of an answer in one tokenizer's ids: what may stand at every position.

Every piece of the template is tokenised on its own and the ids are joined, so that the border of a slot is
the border of a token, in training as in decoding, whatever the tokenizer would have merged across it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from aullava.text.errors import AnswerError, TextError
from aullava.text.grammar import (
    AnswerForm,
    Fixed,
    Slot,
    Template,
    Values,
    allowed,
    answer_choices,
    answer_template,
    branch_template,
    filled,
    slots,
    values_of,
)
from datamodules.action_units import Scale


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is used here."""

    @property
    def name_or_path(self) -> str:
        """Where it came from, for messages."""
        ...

    @property
    def bos_token_id(self) -> int | None:
        """The id that begins a text, if it has one."""
        ...

    @property
    def eos_token_id(self) -> int | None:
        """The id that ends an answer."""
        ...

    @property
    def pad_token_id(self) -> int | None:
        """The id that fills a batch up, if it has one."""
        ...

    def __hash__(self) -> int:
        """By identity: what is found out about a tokenizer is kept."""
        ...

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """The ids of a text."""
        ...


_ANCHORS: Final = ("\n", ":", "x", "0", "_")
"""Texts after which a piece is tokenised if the tokenizer would put a blank before it."""


def piece_ids(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """The ids of one piece of a question or an answer, on its own and without special tokens.

    Tokenizers made with SentencePiece (LLaMA, Vicuna) put a blank before a text that is none in it. A piece
    is then tokenised behind a short other text, whose ids are taken away again.

    Raises:
        TextError: the tokenizer joins the piece with whatever stands before it.
    """
    if not _adds_blank(tokenizer):
        return tuple(tokenizer.encode(text, add_special_tokens=False))
    for anchor in _ANCHORS:
        ids = _behind(tokenizer, anchor, text)
        if ids:
            return ids
    raise TextError(
        f"tokenizer '{tokenizer.name_or_path}' cannot write {text!r} without a blank before it: "
        "choose one that has single characters as tokens"
    )


def _behind(tokenizer: Tokenizer, anchor: str, text: str) -> tuple[int, ...]:
    """The ids of `text` after `anchor`; none if its first character joins the anchor's last token."""
    before = tokenizer.encode(anchor, add_special_tokens=False)
    both = tokenizer.encode(anchor + text, add_special_tokens=False)
    return tuple(both[len(before) :]) if both[: len(before)] == before else ()


@lru_cache(maxsize=8)
def _adds_blank(tokenizer: Tokenizer) -> bool:
    """Whether a text has other ids at the very beginning than behind another text."""
    alone = tuple(tokenizer.encode("0", add_special_tokens=False))
    behind = (_behind(tokenizer, anchor, "0") for anchor in _ANCHORS if anchor != "0")
    first = next((ids for ids in behind if ids), alone)
    return first != alone


def eos_id(tokenizer: Tokenizer) -> int:
    """The id that ends an answer.

    Raises:
        TextError: the tokenizer has none.
    """
    if tokenizer.eos_token_id is None:
        raise TextError(
            f"tokenizer '{tokenizer.name_or_path}' has no end-of-sequence token: choose one that has"
        )
    return tokenizer.eos_token_id


@dataclass(frozen=True, slots=True)
class FixedToken:
    """A position at which only one id may stand."""

    id: int


@dataclass(frozen=True, slots=True)
class SlotToken:
    """A position at which a decision is made.

    Attributes:
        position: which position of the answer it is.
        slot: the decision.
        ids: one id for each of `slot.choices`.
        units: the units digit of the same value; None if no units digit stands before this one.
    """

    position: int
    slot: Slot
    ids: tuple[int, ...]
    units: SlotToken | None

    def choice(self, token: int) -> str:
        """The choice that one of `ids` stands for."""
        return self.slot.choices[self.ids.index(token)]

    def id_of(self, choice: str) -> int:
        """The id of one of the slot's choices."""
        return self.ids[self.slot.choices.index(choice)]


@dataclass(frozen=True, slots=True)
class TokenGrammar:
    """Every answer to one question, position by position.

    Attributes:
        aus: the codes asked, in order.
        scale: the format of the answer.
        template: the answer as text and slots.
        steps: what may stand at each position; the last one is the end of the sequence.
    """

    aus: tuple[str, ...]
    scale: Scale
    template: Template
    steps: tuple[FixedToken | SlotToken, ...]

    @classmethod
    def compile(cls, tokenizer: Tokenizer, aus: Sequence[str], scale: Scale, form: AnswerForm) -> Self:
        """Tokenises the template of a question's answer.

        Raises:
            TextError: a choice of a slot is not exactly one token of its own, the tokenizer has no
                end-of-sequence token, or as `answer_template`.
        """
        return cls._of(tokenizer, aus, scale, answer_template(aus, scale, form))

    @classmethod
    def branch(cls, tokenizer: Tokenizer, au: str, scale: Scale) -> Self:
        """Tokenises the answer about one Action Unit that does not see the others; raises as `compile`."""
        return cls._of(tokenizer, (au,), scale, branch_template(au, scale))

    @classmethod
    def _of(cls, tokenizer: Tokenizer, aus: Sequence[str], scale: Scale, template: Template) -> Self:
        steps: list[FixedToken | SlotToken] = []
        units: SlotToken | None = None
        for piece in template:
            if isinstance(piece, Fixed):
                steps += [FixedToken(token) for token in piece_ids(tokenizer, piece.text)]
                continue
            before = units if piece.role in ("tenths", "hundredths") else None
            step = SlotToken(len(steps), piece, _choice_ids(tokenizer, piece), before)
            units = step if piece.role == "units" else units
            steps.append(step)
        steps.append(FixedToken(eos_id(tokenizer)))
        return cls(tuple(aus), scale, template, tuple(steps))

    def encode(self, values: Values) -> tuple[int, ...]:
        """The ids of the answer that gives `values` [A], with the end of the sequence.

        Raises:
            TextError: as `answer_choices`.
        """
        has_units = self.scale is not Scale.INTENSITY or len(slots(self.template)) == 3 * len(self.aus)
        chosen = iter(answer_choices(self.aus, self.scale, values, has_units))
        return tuple(
            step.id if isinstance(step, FixedToken) else step.id_of(next(chosen)) for step in self.steps
        )

    def allowed_ids(self, position: int, ids: Sequence[int]) -> tuple[int, ...]:
        """The ids that may stand at `position` after `ids`, the ids of the answer up to there."""
        step = self.steps[position]
        if isinstance(step, FixedToken):
            return (step.id,)
        units = step.units.choice(ids[step.units.position]) if step.units else None
        return tuple(step.id_of(choice) for choice in allowed(step.slot, units))

    def decode(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """The values [A] float32 that an answer's ids say.

        Raises:
            AnswerError: the ids do not follow the grammar; the message says where.
        """
        return values_of(self.template, self._choices(ids))

    def text(self, ids: Sequence[int]) -> str:
        """The answer's ids as text, without the end of the sequence; raises as `decode`."""
        return "".join(filled(self.template, self._choices(ids)))

    def _choices(self, ids: Sequence[int]) -> tuple[str, ...]:
        """What the slots hold; every position is checked."""
        if len(ids) != len(self.steps):
            raise AnswerError(f"the answer has {len(ids)} tokens where {len(self.steps)} must stand")
        for position, token in enumerate(ids):
            if token not in self.allowed_ids(position, ids):
                raise AnswerError(
                    f"the answer has token {token} at position {position}, where it may not stand"
                )
        return tuple(step.choice(ids[step.position]) for step in self.steps if isinstance(step, SlotToken))


def _choice_ids(tokenizer: Tokenizer, slot: Slot) -> tuple[int, ...]:
    """One id for every choice of a slot, all different."""
    ids: list[int] = []
    for choice in slot.choices:
        tokens = piece_ids(tokenizer, choice)
        if len(tokens) != 1 or tokens[0] in ids:
            raise TextError(
                f"tokenizer '{tokenizer.name_or_path}' has no single token of its own for '{choice}', which "
                f"the value of {slot.au} needs: choose a tokenizer that splits digits"
            )
        ids.append(tokens[0])
    return tuple(ids)
