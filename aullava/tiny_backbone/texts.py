"""The texts that the tiny language model learns from: questions with an image's place, and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerFast

from aullava.image_words import STANDARD
from aullava.text.batch import UNSUPERVISED
from aullava.text.collate import question_ids
from aullava.text.grammar import AnswerForm
from aullava.text.question import Order, QuestionStyle, question
from aullava.text.tokens import TokenGrammar
from aullava.tiny_backbone.impressions import PLACES, Impressions
from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS, Scale
from datamodules.synthetic import code_amount

SHORT = 2
"""Most Action Units of a short question: looking one of few amounts up is learnt first, then one of many."""
SHORT_QUESTIONS = 8
"""Different short questions in a batch."""


@dataclass(frozen=True, slots=True)
class TextBatch:
    """Texts with a place for an image.

    Attributes:
        ids: int64 [N, T], padded on the right.
        image: bool [N, T], true at the `PLACES` vectors of the image's place.
        answers: int64 [N, T], the ids of the answers, UNSUPERVISED elsewhere.
        rest: int64 [N, T], the ids of the questions, UNSUPERVISED elsewhere.
        amounts: [N, A] of all of `STANDARD`.
        asked: bool [N, A].
    """

    ids: Tensor
    image: Tensor
    answers: Tensor
    rest: Tensor
    amounts: np.ndarray
    asked: np.ndarray


class Texts:
    """Endless training texts: questions with an image's place, and the answers to random amounts."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        self.tokenizer = tokenizer
        self.rng = np.random.default_rng(seed)
        self.impressions = Impressions(tokenizer, seed)

    def batch(self, size: int, short: float) -> TextBatch:
        """One batch.

        Args:
            size: number of texts with a standard list; of short ones there are four times as many.
            short: probability that the batch asks about a few Action Units only.
        """
        lists: list[tuple[str, ...]]
        if self.rng.uniform() < short:
            lists = [self._some() for _ in range(SHORT_QUESTIONS)]
            each = max(1, 4 * size // SHORT_QUESTIONS)
        else:
            lists, each = [(BP4D_AUS, DISFA_AUS, FEAFA_AUS)[self.rng.integers(3)]], size
        parts = [self._texts(aus, each) for aus in lists]
        pad = self.tokenizer.pad_token_id
        fill = {"ids": pad, "image": False, "answers": UNSUPERVISED, "rest": UNSUPERVISED}
        padded = {
            name: pad_sequence([row for part in parts for row in getattr(part, name)], True, value)
            for name, value in fill.items()
        }
        amounts, asked = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("amounts", "asked")
        )
        return TextBatch(amounts=amounts, asked=asked, **padded)

    def _texts(self, aus: Sequence[str], count: int) -> TextBatch:
        """Texts with one and the same question."""
        scale, form, style = self._manner()
        pieces, pad = question(aus, scale, style), self.tokenizer.pad_token_id
        ids, place = question_ids(self.tokenizer, pieces, PLACES, pad)
        grammar = TokenGrammar.compile(self.tokenizer, tuple(aus), scale, form)
        amounts, columns = self.impressions.amounts(count), [STANDARD.index(code) for code in aus]
        coded = [[code_amount(amount, scale) for amount in row] for row in amounts[:, columns].tolist()]
        answered = torch.tensor([grammar.encode(np.array(row, dtype=np.float32)) for row in coded])
        whole = torch.cat([torch.tensor(ids).expand(count, -1), answered], 1)
        image = nn.functional.pad(torch.tensor(place), (0, answered.shape[1])).expand(count, -1)
        is_answer = torch.arange(whole.shape[1]) >= len(ids)
        asked = np.zeros(amounts.shape, dtype=bool)
        asked[:, columns] = True
        return TextBatch(
            ids=whole,
            image=image,
            answers=whole.masked_fill(~is_answer, UNSUPERVISED),
            rest=whole.masked_fill(is_answer | image, UNSUPERVISED),
            amounts=amounts,
            asked=asked,
        )

    def _manner(self) -> tuple[Scale, AnswerForm, QuestionStyle]:
        """How a question is put and answered: mostly as the shipped experiments do."""
        rng = self.rng
        scale, form = list(Scale)[rng.integers(3)], list(AnswerForm)[int(rng.uniform() < 0.05)]
        order = Order.DEFINITIONS_FIRST if rng.uniform() < 0.8 else list(Order)[rng.integers(3)]
        return scale, form, QuestionStyle(order=order, definitions=bool(rng.uniform() < 0.85))

    def _some(self) -> tuple[str, ...]:
        """One or a few codes."""
        count = int(self.rng.integers(1, SHORT + 1))
        return tuple(str(code) for code in self.rng.choice(STANDARD, count, replace=False))
