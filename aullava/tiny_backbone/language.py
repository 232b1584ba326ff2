"""The tiny language model: a LLaMA-type LLM that learns the text templates, and to look things up in its context.

It never sees a picture or a picture's labels. Where a question has its image, the training texts have a few written
notes with random amounts ("AU12 63%"), and the answer follows from them: present from 50 % on, levels by fifths,
intensities as they stand. So it learns the formats, the scales, and to answer from what stands in the image's place.
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
from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS, Scale, codes
from datamodules.synthetic import code_amount

IGNORED = -100


@dataclass(frozen=True, slots=True)
class LanguageRecipe:
    """Sizes and schedule of the tiny LLM; ours."""

    hidden: int = 192
    feed_forward: int = 512
    layers: int = 4
    heads: int = 6
    context: int = 1024
    batch_size: int = 32
    steps: int = 1600
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.05
    text_weight: float = 0.1  # of everything that is not the answer


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
    """Endless training texts: questions with notes in the image's place, and the answers that follow from them."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        self.tokenizer = tokenizer
        self.rng = np.random.default_rng(seed)

    def text(self, aus: Sequence[str], scale: Scale, form: AnswerForm, style: QuestionStyle) -> tuple[list[int], int]:
        """Ids of one text, and where its answer begins."""
        rng = self.rng
        amounts = np.where(rng.uniform(size=len(aus)) < 0.6, 0.0, rng.uniform(0.01, 1.0, len(aus))).round(2)
        ids = [self.tokenizer.bos_token_id]
        for piece in question(aus, scale, style):
            ids += piece_ids(self.tokenizer, self._notes(aus, amounts) if isinstance(piece, ImagePlace) else piece)
        grammar = TokenGrammar.compile(self.tokenizer, tuple(aus), scale, form)
        answer = grammar.encode(np.array([code_amount(a, scale) for a in amounts.tolist()], dtype=np.float32))
        return [*ids, *answer], len(ids)

    def batch(self, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Texts with one question: ids [B, T] padded on the right, labels of the answers and of the rest [B, T]."""
        rng = self.rng
        aus, scale, form = self._asked(), list(Scale)[rng.integers(3)], list(AnswerForm)[int(rng.uniform() < 0.1)]
        order = Order.DEFINITIONS_FIRST if rng.uniform() < 0.7 else list(Order)[rng.integers(3)]
        style = QuestionStyle(order=order, definitions=bool(rng.uniform() < 0.85))
        rows = [self.text(aus, scale, form, style) for _ in range(size)]
        width = max(len(ids) for ids, _ in rows)
        ids = torch.full((size, width), self.tokenizer.pad_token_id)
        answers, rest = torch.full((size, width), IGNORED), torch.full((size, width), IGNORED)
        for row, (text, begin) in enumerate(rows):
            tokens = torch.tensor(text)
            ids[row, : len(text)] = tokens
            answers[row, begin : len(text)] = tokens[begin:]
            rest[row, :begin] = tokens[:begin]
        return ids, answers, rest

    def _asked(self) -> Sequence[str]:
        """One of the standard lists, a part of one, or any codes of the vocabulary."""
        rng = self.rng
        if rng.uniform() < 0.75:
            known = (BP4D_AUS, DISFA_AUS, FEAFA_AUS)[rng.integers(3)]
            kept = rng.uniform(size=len(known)) < (1.0 if rng.uniform() < 0.6 else 0.7)
            return [code for code, keep in zip(known, kept, strict=True) if keep] or list(known)
        return [str(code) for code in rng.choice(codes(), rng.integers(2, 16), replace=False)]

    def _notes(self, aus: Sequence[str], amounts: np.ndarray) -> str:
        """What can be seen, in any order: an Action Unit that is not noted is not there."""
        noted = [f"{code} {amount:.0%}" for code, amount in zip(aus, amounts, strict=True) if amount > 0]
        self.rng.shuffle(noted)
        return ", ".join(noted) or "nothing"


def train_llm(tokenizer: PreTrainedTokenizerFast, recipe: LanguageRecipe, seed: int = 0) -> LlamaForCausalLM:
    """Learn the language model from texts alone."""
    torch.manual_seed(seed)
    model = build_llm(recipe, tokenizer)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=1.0, betas=(0.9, 0.95), weight_decay=recipe.weight_decay, fused=True
    )

    def rate(step: int) -> float:
        progress = min(1.0, step / recipe.steps)
        return recipe.learning_rate * min((step + 1) / recipe.warmup, 0.05 + 0.475 * (1 + math.cos(math.pi * progress)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    texts, start, running = NotedFaces(tokenizer, seed), time.monotonic(), 3.0
    for step in range(recipe.steps):
        ids, answers, rest = texts.batch(recipe.batch_size)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(input_ids=ids).logits[:, :-1].float().flatten(0, 1)
        on_answers = nn.functional.cross_entropy(logits, answers[:, 1:].flatten())
        loss = on_answers + recipe.text_weight * nn.functional.cross_entropy(logits, rest[:, 1:].flatten())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        running += 0.02 * (on_answers.item() - running)
        if step % 100 == 99:
            print(f"llm step {step + 1}/{recipe.steps}  answer loss {running:.4f}  {time.monotonic() - start:.0f} s", flush=True)
    return model
