"""The tokens of an answer's tree, and where each decision is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from aullava.text.answer import Scale
from aullava.text.tokens import FixedToken, SlotToken, TokenGrammar


@dataclass(slots=True)
class AnswerTree:
    """Tokens, token by token, and decisions, Action Unit by Action Unit.

    Attributes:
        ids: the tokens; 0 where an answer's own stand.
        paths: the branch of each token (0: the text itself) and the leaf, both from 1.
        written: where the tokens of an answer that is one text stand.
        places: for each Action Unit the tokens behind which its decisions are read.
        choices: the ids to choose from there.
    """

    ids: list[int] = field(default_factory=list)
    paths: list[tuple[int, int]] = field(default_factory=list)
    written: list[int] = field(default_factory=list)
    places: list[list[int]] = field(default_factory=list)
    choices: list[list[tuple[int, ...]]] = field(default_factory=list)

    def branches(self, grammars: Sequence[TokenGrammar]) -> None:
        """Add independent answers, one grammar for each Action Unit.

        What all of them begin with (", AU", if a tokenizer has it apart) is one text with the question.
        """
        decided = [[step for step in one.steps if isinstance(step, SlotToken)] for one in grammars]
        names = [_fixed(one, 0, slots[0]) for one, slots in zip(grammars, decided, strict=True)]
        alike = takewhile(lambda ids: len(set(ids)) == 1, zip(*names, strict=False))
        shared = min(sum(1 for _ in alike), *(len(name) - 1 for name in names))
        self._add(names[0][:shared], (0, 0))
        for number, (grammar, slots, name) in enumerate(zip(grammars, decided, names, strict=True), start=1):
            self._add(name[shared:], (number, 0))
            self._decide(slots[0])
            if grammar.scale is Scale.INTENSITY:
                self._fork(number, grammar, slots)

    def text(self, grammar: TokenGrammar) -> None:
        """Add an answer about intensities that is one text, with a fork before each of them."""
        seen: dict[str, list[SlotToken]] = {au: [] for au in grammar.aus}
        for step in grammar.steps:
            if isinstance(step, SlotToken):
                seen[step.slot.au].append(step)
        first = {slots[0].position: (number, slots) for number, slots in enumerate(seen.values(), start=1)}
        for position, step in enumerate(grammar.steps[:-1]):
            if position in first:
                number, slots = first[position]
                self._decide(slots[0])
                self._fork(number, grammar, slots)
            self.written.append(len(self.ids))
            self._add([step.id if isinstance(step, FixedToken) else 0], (0, 0))

    def _fork(self, number: int, grammar: TokenGrammar, slots: list[SlotToken]) -> None:
        """Go on through "0." where there are units, and fork into the ten tenths."""
        *units, tenths, hundredths = slots
        for one in units:
            self._add([one.id_of("0"), *_fixed(grammar, one.position, tenths)], (number, 0))
            self._decide(tenths, again=True)
        for leaf, token in enumerate(tenths.ids, start=1):
            self._add([token], (number, leaf))
            self._decide(hundredths, again=True)

    def _add(self, ids: Iterable[int], path: tuple[int, int]) -> None:
        for token in ids:
            self.ids.append(token)
            self.paths.append(path)

    def _decide(self, step: SlotToken, again: bool = False) -> None:
        """Read a decision behind the last token; `again`: one more of the same Action Unit."""
        if not again:
            self.places.append([])
            self.choices.append([])
        self.places[-1].append(len(self.ids) - 1)
        self.choices[-1].append(step.ids)


def _fixed(grammar: TokenGrammar, start: int, end: SlotToken) -> list[int]:
    return [step.id for step in grammar.steps[start : end.position] if isinstance(step, FixedToken)]
