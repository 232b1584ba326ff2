"""The reference for independent answers: each Action Unit asked alone, each value scored by what leads to it.

Slow on purpose: the question is read anew for every Action Unit and every tenth, in a plain causal pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aullava.decoding.branches import grid, readings
from aullava.decoding.generate import by_question, evaluating, inputs_of, some_rows
from aullava.models.vlm import FaceLanguageModel
from aullava.text.answer import Answer, Scale
from aullava.text.batch import PromptBatch
from aullava.text.collate import Collator
from aullava.text.tokens import SlotToken, TokenGrammar


class Alone:
    """Decodes independent answers; `aullava.decoding.parallel` is checked against it.

    Args:
        model: on any device.
        collator: writes the questions.
    """

    def __init__(self, model: FaceLanguageModel, collator: Collator) -> None:
        self.model = model
        self.collator = collator

    def forget(self) -> None:
        """Nothing is kept."""

    def answers(self, prompts: PromptBatch) -> list[Answer]:
        """One answer for each row of a batch, in order."""
        device = next(self.model.parameters()).device
        found: dict[int, Answer] = {}
        for (aus, scale), rows in by_question(prompts).items():
            group = some_rows(prompts, rows).to(device)
            found.update(zip(rows, self._answers(group, aus, scale), strict=True))
        return [found[row] for row in range(len(prompts.asked))]

    @torch.no_grad()
    def _answers(self, prompts: PromptBatch, aus: tuple[str, ...], scale: Scale) -> list[Answer]:
        asked = self.collator.prompt(aus, scale)
        with evaluating(self.model):
            parts = [_Branch(self.model, prompts, branch).read() for branch in asked.branches]
        columns = (torch.stack([one[place] for one in parts], dim=1) for place in range(3))
        probabilities, written, agrees = columns
        read = readings(scale, probabilities, written)
        values, sure = grid(scale)[written.cpu().numpy()], agrees.all(dim=1).tolist()
        return [
            Answer.restricted(name, asked.grammar, list(asked.grammar.encode(row)), reading, one)
            for name, row, reading, one in zip(prompts.sample_ids, values, read, sure, strict=True)
        ]


@dataclass(frozen=True)
class _Branch:
    """One Action Unit's answer about some faces."""

    model: FaceLanguageModel
    prompts: PromptBatch
    grammar: TokenGrammar

    def read(self) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities of all values [B, V], the value written [B], whether free decoding takes it [B]."""
        first, *digits = (step for step in self.grammar.steps if isinstance(step, SlotToken))
        probs, best, agrees = self._decide(first, "")
        if not digits:
            return probs, best, agrees
        tenths, ten, ten_agrees = self._decide(digits[0], "0")
        leaves = [self._decide(digits[1], f"0{leaf}") for leaf in range(10)]
        below = [probs[:, :1] * tenths[:, leaf, None] * one[0] for leaf, one in enumerate(leaves)]
        last, last_agrees = (torch.stack([one[place] for one in leaves], 1) for place in (1, 2))
        hundredth, sure = (one.gather(1, ten[:, None])[:, 0] for one in (last, last_agrees))
        full = best == 1
        written = torch.where(full, 100, 10 * ten + hundredth)
        return torch.cat([*below, probs[:, 1:]], 1), written, agrees & (full | ten_agrees & sure)

    def _decide(self, slot: SlotToken, before: str) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities [B, C] at a slot behind the digits `before`, the likeliest [B], whether it wins."""
        digits = iter(before)
        steps = self.grammar.steps[: slot.position]
        ids = [step.id_of(next(digits)) if isinstance(step, SlotToken) else step.id for step in steps]
        _, state = self.model.prefill(*inputs_of(self.prompts), room=len(ids))
        row = torch.tensor(ids, device=self.prompts.input_ids.device)
        logits = self.model.advance(row.expand(len(self.prompts.asked), -1), state).float()
        candidates = torch.tensor(slot.ids, device=logits.device)
        best = logits[:, candidates].argmax(dim=1)
        return logits[:, candidates].softmax(dim=1), best, logits.argmax(dim=1) == candidates[best]
