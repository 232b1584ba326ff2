"""The tiny language model: a LLaMA-type LLM that learns the text templates and to look things up in them.

It never sees a picture or a picture's labels. Where a question has its image, the training texts have a few
written notes with random amounts ("marked AU12"), and the answer follows from them as far as the words say:
levels exactly, presence and intensities as odds. So it learns the formats, the scales, and to answer from
what stands in the image's place.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from aullava.text.grammar import AnswerForm
from aullava.text.question import ImagePlace, Order, QuestionStyle, question
from aullava.text.tokens import TokenGrammar, piece_ids
from aullava.tiny_backbone.tokenizer import AMOUNTS
from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS, Scale, codes
from datamodules.synthetic import code_amount

IGNORED = -100
SHORT = 2
"""Most Action Units of a short question: looking one of few notes up is learnt first, then one of many."""
STANDARD = tuple(dict.fromkeys((*BP4D_AUS, *DISFA_AUS, *FEAFA_AUS)))


@dataclass(frozen=True, slots=True)
class LanguageRecipe:
    """Sizes and schedule of the tiny LLM; ours."""

    hidden: int = 128
    feed_forward: int = 352
    layers: int = 3
    heads: int = 4
    context: int = 1024
    batch_size: int = 16
    steps: int = 2400
    learning_rate: float = 1.5e-3
    warmup: int = 100
    weight_decay: float = 0.05
    text_weight: float = 0.1  # of everything that is not the answer
    text_share: float = 0.05  # of the questions' positions that a step learns from


def build_llm(recipe: LanguageRecipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A LLaMA with random weights."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.hidden,
            intermediate_size=recipe.feed_forward,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.heads,
            max_position_embeddings=recipe.context,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


class NotedFaces:
    """Endless training texts: questions with notes in the image's place, and the answers that follow."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        self.tokenizer = tokenizer
        self.rng = np.random.default_rng(seed)

    def text(
        self, aus: Sequence[str], scale: Scale, form: AnswerForm, style: QuestionStyle
    ) -> tuple[list[int], int]:
        """Ids of one text, and where its answer begins."""
        rng = self.rng
        silent = 0.4 if len(aus) <= SHORT else 0.6
        shown = rng.uniform(size=len(aus)) >= silent
        amounts = np.where(shown, rng.uniform(0.01, 1.0, len(aus)), 0.0).round(2)
        ids = [self.tokenizer.bos_token_id]
        for piece in question(aus, scale, style):
            text = self._notes(aus, amounts) if isinstance(piece, ImagePlace) else piece
            ids += piece_ids(self.tokenizer, text)
        grammar = TokenGrammar.compile(self.tokenizer, tuple(aus), scale, form)
        coded = [code_amount(amount, scale) for amount in amounts.tolist()]
        answer = grammar.encode(np.array(coded, dtype=np.float32))
        return [*ids, *answer], len(ids)

    def batch(self, size: int, short: float) -> tuple[Tensor, Tensor, Tensor]:
        """One batch: ids [B, T] padded on the right, labels of the answers and of the rest [B, T].

        Args:
            size: number of texts with a standard list; of short ones there are four times as many.
            short: probability that the batch asks about a few Action Units only.
        """
        rng = self.rng
        if rng.uniform() < short:
            count = int(rng.integers(1, SHORT + 1))
            rows = [self.text(self._some(count), *self._manner()) for _ in range(4 * size)]
        else:
            known, manner = (BP4D_AUS, DISFA_AUS, FEAFA_AUS)[rng.integers(3)], self._manner()
            rows = [self.text(known, *manner) for _ in range(size)]
        width = max(len(ids) for ids, _ in rows)
        ids = torch.full((len(rows), width), self.tokenizer.pad_token_id)
        answers, rest = torch.full_like(ids, IGNORED), torch.full_like(ids, IGNORED)
        for row, (text, begin) in enumerate(rows):
            tokens = torch.tensor(text)
            ids[row, : len(text)] = tokens
            answers[row, begin : len(text)] = tokens[begin:]
            rest[row, :begin] = tokens[:begin]
        return ids, answers, rest

    def _manner(self) -> tuple[Scale, AnswerForm, QuestionStyle]:
        """How a question is put and answered: mostly as the shipped experiments do."""
        rng = self.rng
        scale, form = list(Scale)[rng.integers(3)], list(AnswerForm)[int(rng.uniform() < 0.05)]
        order = Order.DEFINITIONS_FIRST if rng.uniform() < 0.8 else list(Order)[rng.integers(3)]
        return scale, form, QuestionStyle(order=order, definitions=bool(rng.uniform() < 0.85))

    def _some(self, count: int) -> list[str]:
        """A few codes, now and then rare ones."""
        pool = codes() if self.rng.uniform() < 0.05 else STANDARD
        return [str(code) for code in self.rng.choice(pool, count, replace=False)]

    def _notes(self, aus: Sequence[str], amounts: np.ndarray) -> str:
        """What can be seen, in any order: an Action Unit that is not noted is not there."""
        noted = [
            f" {AMOUNTS[math.ceil(5 * amount) - 1]} {code}"
            for code, amount in zip(aus, amounts.tolist(), strict=True)
            if amount > 0
        ]
        self.rng.shuffle(noted)
        return "".join(noted) or "nothing"


def train_llm(tokenizer: PreTrainedTokenizerFast, recipe: LanguageRecipe, seed: int = 0) -> LlamaForCausalLM:
    """Learn the language model from texts alone."""
    torch.manual_seed(seed)
    model = build_llm(recipe, tokenizer)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=1.0, betas=(0.9, 0.95), weight_decay=recipe.weight_decay, fused=True
    )

    def rate(step: int) -> float:
        progress = min(1.0, step / recipe.steps)
        falling = 0.05 + 0.475 * (1 + math.cos(math.pi * progress))
        return recipe.learning_rate * min((step + 1) / recipe.warmup, falling)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    texts, start, running = NotedFaces(tokenizer, seed), time.monotonic(), 3.0
    for step in range(recipe.steps):
        ids, answers, rest = texts.batch(recipe.batch_size, 1.0 if step < 0.5 * recipe.steps else 0.3)
        # The head is what costs here: all answers, and of the questions as much as keeps them readable.
        asked = rest.masked_fill(torch.rand(rest.shape) > recipe.text_share, IGNORED)
        learned = torch.where(answers != IGNORED, answers, asked)[:, 1:]
        kept = learned != IGNORED
        with torch.autocast("cpu", torch.bfloat16):
            states = model.model(input_ids=ids).last_hidden_state[:, :-1][kept]
            logits = model.lm_head(states).float()
        losses = nn.functional.cross_entropy(logits, learned[kept], reduction="none")
        is_answer = answers[:, 1:][kept] != IGNORED
        on_answers, on_rest = losses[is_answer].mean(), losses[~is_answer].mean().nan_to_num()
        loss = on_answers + recipe.text_weight * on_rest
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        running += 0.02 * (on_answers.item() - running)
        if step % 100 == 99:
            seconds, done = time.monotonic() - start, f"{step + 1}/{recipe.steps}"
            print(f"llm step {done}  answer loss {running:.4f}  {seconds:.0f} s", flush=True)
    return model
