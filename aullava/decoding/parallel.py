"""Independent answers in one masked pass: all Action Units of a face at once, nothing drafted or repeated.

Question and branches are read together; each branch sees the question and itself. The reference is
`aullava.decoding.alone`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aullava.decoding.branches import BranchTable, grid, readings
from aullava.decoding.generate import evaluating
from aullava.decoding.one_pass import OnePass
from aullava.text.answer import Answer, Scale


class Parallel(OnePass):
    """Decodes independent answers; arguments and attributes as `OnePass`, drafts are not needed."""

    def ask(
        self,
        features: Tensor,
        sample_ids: Sequence[str],
        aus: tuple[str, ...],
        scale: Scale,
        video: str | None = None,
    ) -> list[Answer]:
        """One question about every face; as `OnePass.ask`."""
        table = self._table(aus, scale)
        with evaluating(self.model):
            hidden = self._read(features, aus, scale, table)
            decisions = self._decided(hidden, table)
            written, used = table.greedy(decisions)
            sure = self._certified(hidden, table, decisions, used) if self.certify else None
            read = readings(scale, table.distributions(decisions), written)
        values, grammar = grid(scale)[written.cpu().numpy()], self.collator.prompt(aus, scale).grammar
        self.counts.rows += len(features)
        self.counts.passes += len(features)
        self.counts.tokens += len(features) * len(table.ids)
        self.counts.answer_tokens += len(features) * len(table.ids)
        self.counts.certified += 0 if sure is None else sum(sure)
        agreed: Sequence[bool | None] = [None] * len(features) if sure is None else sure
        return [
            Answer.restricted(name, grammar, list(grammar.encode(row)), reading, one)
            for name, row, reading, one in zip(sample_ids, values, read, agreed, strict=True)
        ]

    def distributions(self, features: Tensor, aus: tuple[str, ...], scale: Scale) -> Tensor:
        """The probability of every value, float32 [B, A, V]: 2 of presence, 6 levels, 0.00 to 1.00."""
        table = self._table(aus, scale)
        with evaluating(self.model):
            return table.distributions(self._decided(self._read(features, aus, scale, table), table))

    def _table(self, aus: tuple[str, ...], scale: Scale) -> BranchTable:
        return BranchTable.separate(self.collator.prompt(aus, scale).branches, self._device)

    def _read(self, features: Tensor, aus: tuple[str, ...], scale: Scale, table: BranchTable) -> Tensor:
        """Hidden states [B, A x P, H] at the places of all decisions."""
        self._check()
        known = self._question(aus, scale)
        state = self._begun(known, len(table.ids))
        ids = table.ids.expand(len(features), -1)
        question = known.question
        hidden = self.model.read_questions(features, question.ids, question.image, ids, state, table.paths)
        return hidden[:, 1 + table.places.flatten()]  # the first one stands behind the question

    def _decided(self, hidden: Tensor, table: BranchTable) -> Tensor:
        return table.decisions(self.model.scored(hidden, table.columns))

    def _certified(self, hidden: Tensor, table: BranchTable, decisions: Tensor, used: Tensor) -> list[bool]:
        """Whether free greedy decoding would have taken every one of the decisions that were used."""
        rows, where = used.flatten(1).nonzero(as_tuple=True)
        likeliest = self.model.judged(hidden[rows, where][None], table.columns)[0][0]
        best = decisions.argmax(dim=-1)
        chosen = table.choices.expand(len(used), -1, -1, -1).gather(3, best[..., None])[..., 0]
        agrees = torch.ones_like(used).flatten(1)
        agrees[rows, where] = likeliest == chosen.flatten(1)[rows, where]
        sure: list[bool] = agrees.all(dim=1).tolist()
        return sure
