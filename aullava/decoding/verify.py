"""Draft and verify: read a whole drafted answer at once, correct what the model would have said, go on there.

The logits at a slot hang on what stands before it alone. So the first slot that differs from its draft is
decided for good, everything before it too, and everything behind it is a new draft. When nothing differs any
more, the answer is the one that restricted greedy decoding writes token by token.

Where a digit turns out otherwise, a pass says nothing about the one behind it. So of a digit in doubt the
first pass also reads what else it may be, as a branch of one token that nothing else sees
(`aullava.models.tree`); what the model would write behind it goes into the next draft.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from aullava.decoding.cost import Experience, PassCost
from aullava.decoding.drafts import Doubt, Draft
from aullava.decoding.habits import Habits
from aullava.decoding.slots import SlotTable, slot_positions
from aullava.models.key_values import KeyValues
from aullava.models.vlm import FaceLanguageModel


@dataclass(frozen=True, slots=True)
class Question:
    """What all rows of a batch are asked.

    Attributes:
        ids: int64 [Q], the question behind what `state` has read.
        image: bool [Q], the image's places.
        table: the slots of the answer.
        certify: whether every token is compared with the likeliest of the whole vocabulary.
    """

    ids: Tensor
    image: Tensor
    table: SlotTable
    certify: bool

    @property
    def face_end(self) -> int:
        """How many of `ids` stand before the image's end: what other questions about the face may share."""
        return int(self.image.nonzero()[-1]) + 1


@dataclass(slots=True)
class _Part:
    """Rows that go through the passes together: all have read `done` tokens of their answers."""

    rows: Tensor
    done: int
    state: KeyValues


class Verification:
    """One question about a batch of faces, on its way to the answers.

    Args:
        model: in eval mode.
        question: what is asked.
        draft: what to begin with.
        habits: draft the digits behind a corrected one, and are told what stands behind a doubtful one.
        cost: of a pass.
        experience: of earlier batches; this one is added to it.

    Attributes:
        choices: [B, S] int64, final when `run` has ended.
        scores: [B, S, C] float32, the logits that decided them.
        certified: [B] bool, rows that free greedy decoding would have written to the letter; all false
            without `certify`.
        passes: [B] int64, passes that each row took part in.
        tokens: answer tokens read by all rows together, those of doubts among them.
    """

    def __init__(
        self,
        model: FaceLanguageModel,
        question: Question,
        draft: Draft,
        habits: Habits,
        cost: PassCost,
        experience: Experience,
    ) -> None:
        self.model = model
        self.question = question
        self.table = question.table
        self.habits = habits
        self.cost = cost
        self.experience = experience
        rows, slots = draft.choices.shape
        device = draft.choices.device
        self.choices = draft.choices.clone()
        self.scores = torch.zeros(rows, slots, self.table.ids.shape[1], device=device)
        length = len(self.table.grammar.steps)
        self.certified = torch.full((rows,), question.certify, device=device)
        self.passes = torch.zeros(rows, dtype=torch.int64, device=device)
        self.tokens = 0
        # The end of the sequence is never read; without a certificate, nothing behind the last slot is.
        self._end = length - 1 if question.certify else self.table.positions[-1]
        self._doubt = draft.doubt if draft.doubt is not None and model.folds() else None

    @torch.no_grad()
    def run(self, features: Tensor | None, state: KeyValues) -> None:
        """Read until every answer is final.

        Args:
            features: [B, N, D] of the faces; None: `state` has read the question up to the image's end.
            state: what stands before the question, with room for question and answer.
        """
        rows = torch.arange(len(self.choices), device=self.choices.device)
        stop = self._until(len(rows), -1, later=False)
        drafts, paths = self.table.answer_ids(self.choices)[:, :stop], None
        doubt = self._doubt if stop == self._end else None
        if doubt is not None:
            drafts, paths = self._with_doubt(drafts, doubt)
        question = self.question
        if features is None:
            ids = question.ids[question.face_end :]
            words = torch.cat([ids.expand(len(rows), -1), drafts], dim=1)
            hidden = self.model.read_on(words, state, paths)[:, len(ids) - 1 :]
        else:
            hidden = self.model.read_questions(features, question.ids, question.image, drafts, state, paths)
        start = state.length - drafts.shape[1]
        reads = [len(rows) * stop]
        if doubt is not None:
            hidden = self._without_doubt(hidden, doubt)
        waiting = list(self._parts(rows, self._settle(rows, hidden, 0), state, start))
        while waiting:
            later, waiting = waiting, []
            reads.append(0)
            for part in later:
                stop = self._until(len(part.rows), part.done, later=True)
                ids = self.table.answer_ids(self.choices[part.rows])[:, part.done : stop]
                hidden = self.model.read_on(ids, part.state)
                reads[-1] += ids.numel()
                done = self._settle(part.rows, hidden, part.done + 1)
                waiting += self._parts(part.rows, done, part.state, start)
        self.tokens = len(rows) * drafts.shape[1] + sum(reads[1:])
        self._learn(reads)

    def _with_doubt(self, drafts: Tensor, doubt: Doubt) -> tuple[Tensor, Tensor]:
        """Drafts [B, k] with the doubtful digit's other choice behind them, and the paths [k + 1, 1]."""
        ids = self.table.ids[doubt.slot, doubt.choices]
        paths = torch.zeros(drafts.shape[1] + 1, 1, dtype=torch.int64, device=drafts.device)
        paths[self.table.positions[doubt.slot] :] = 1
        paths[-1] = 2
        return torch.cat([drafts, ids[:, None]], dim=1), paths

    def _without_doubt(self, hidden: Tensor, doubt: Doubt) -> Tensor:
        """Hidden states [B, k + 2, H] without the last one, which says what would stand behind the doubt."""
        behind = doubt.slot + 1
        logits = self.model.scored(hidden[:, -1:], self.table.columns)
        found = self.table.scores(logits, (behind, behind + 1)).argmax(dim=2)[:, 0]
        self.habits.note(torch.full_like(found, behind), doubt.choices, found)
        return hidden[:, :-1]

    def _until(self, rows: int, done: int, later: bool) -> int:
        """Up to which position the next pass reads: the end, or the next slot."""
        first, last = self.table.between(done + 1, self._end)
        if first == last:
            return self._end
        # What stands behind the last slot takes a pass too, if anybody wants to know about it.
        passes = last - first + (self.table.positions[-1] < self._end)
        again = self.experience.share(later)
        if self.cost.drafts_pay(rows, passes, self._end - max(done, 0), again):
            return self._end
        return self.table.positions[first]

    def _settle(self, rows: Tensor, hidden: Tensor, first: int) -> Tensor:
        """Compare drafts with what the model says at positions `first` and on.

        Returns:
            [r] how many tokens of each answer are right and read; the token after them is known.
        """
        table, last = self.table, first + hidden.shape[1] - 1
        slots = table.between(first, last)
        self.passes[rows] += 1
        places = slot_positions(table, slots, first)
        done = torch.full_like(rows, last)
        if places:
            scores = table.scores(self.model.scored(hidden[:, places], table.columns), slots)
            drafted = self.choices[rows]
            chosen = table.chosen(scores, slots, drafted)
            self.choices[rows] = self.habits.follow(chosen, drafted)
            self.scores[rows, slots[0] : slots[1]] = scores
            wrong = (chosen != drafted)[:, slice(*slots)]
            where = torch.tensor(table.positions[slice(*slots)], device=rows.device)
            done = torch.where(wrong.any(dim=1), where[wrong.int().argmax(dim=1)], done)
        if self.question.certify:
            self._certify(rows, hidden, first, done)
        return done

    def _certify(self, rows: Tensor, hidden: Tensor, first: int, done: Tensor) -> None:
        """Compare what is final with the likeliest of the whole vocabulary.

        The head over a whole vocabulary is a tenth of a pass and more, so it runs where the answer stands:
        not on what will be read again, and not on rows that have left the template already.
        """
        final = torch.arange(first, first + hidden.shape[1], device=rows.device) <= done[:, None]
        final &= self.certified[rows, None]
        if not bool(final.any()):
            return
        ids = self.table.answer_ids(self.choices[rows])[:, first : first + hidden.shape[1]]
        likeliest = self.model.judged(hidden[final][None], self.table.columns)[0][0]
        agrees = torch.ones_like(final)
        agrees[final] = likeliest == ids[final]
        self.certified[rows] &= agrees.all(dim=1)

    def _parts(self, rows: Tensor, done: Tensor, state: KeyValues, start: int) -> Iterator[_Part]:
        """What is left to do, in parts that share a pass."""
        order = done.argsort(stable=True)
        sorted_done = done[order].tolist()
        open_rows = sum(one < self._end for one in sorted_done)
        for begin, end in self._cuts(sorted_done[:open_rows]):
            picked, at = order[begin:end], sorted_done[begin]
            if len(picked) == len(rows):
                state.cut_back(start + at)
                yield _Part(rows, at, state)
            else:
                yield _Part(rows[picked], at, state.picked(picked, start + at))

    def _cuts(self, done: list[int]) -> list[tuple[int, int]]:
        """Ranges of rows, sorted by how far they are, so that no row reads more again than a pass costs."""
        if not done:
            return []
        gains = [(len(done) - at) * (done[at] - done[0]) for at in range(len(done))]
        best = max(range(len(done)), key=gains.__getitem__)
        if gains[best] <= self.cost.overhead:
            return [(0, len(done))]
        after = [(best + begin, best + end) for begin, end in self._cuts(done[best:])]
        return [*self._cuts(done[:best]), *after]

    def _learn(self, reads: list[int]) -> None:
        """Note how much was read a second time, for first drafts and for later ones."""
        if reads[0] >= len(self.choices) * self._end:
            self.experience.note(False, reads[0], sum(reads[1:]))
            if len(reads) > 1:
                self.experience.note(True, reads[1], sum(reads[2:]))
