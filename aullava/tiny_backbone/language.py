"""The tiny language model: a LLaMA-type LLM that learns the text templates and to look things up in them.

It never sees a picture or a picture's labels. Where a question has its image, the training texts have
`impressions`, vectors made of the LLM's own words about random amounts, and the answer follows from those
amounts. So it learns the formats, the scales, and to answer from what stands in the image's place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from aullava.text.batch import UNSUPERVISED
from aullava.tiny_backbone.learning import Schedule, learn
from aullava.tiny_backbone.texts import TextBatch, Texts
from aullava.training.processes import Processes


@dataclass(frozen=True, slots=True)
class Cycle:
    """Lessons from short and clear to long and hazy; warm-up and cosine once; ours."""

    steps: int
    learning_rate: float
    short: float = 0.1  # of the steps ask short questions only, later ones 1 in 10
    clear: float = 0.2  # of the steps read clear impressions; then haze comes up
    hazy: float = 0.5  # of the steps are over when it is full
    thinnest: float = 0.4  # haze of a batch is at least this share of what it may be
    crowd: float = 0.0  # how crowded the places are at most

    def haze(self, step: int) -> float:
        """How hard the impressions are to read at most at a step, 0 to 1."""
        done = step / self.steps
        return 1.0 if done >= self.hazy else max(0.0, (done - self.clear) / (self.hazy - self.clear))


@dataclass(frozen=True, slots=True)
class LanguageRecipe:
    """Sizes and schedule of the tiny LLM; ours."""

    hidden: int = 128
    feed_forward: int = 352
    layers: int = 3
    heads: int = 2
    rope_theta: float = 1e6  # slow rotations: a word must be found at any distance
    context: int = 1024
    batch_size: int = 16
    cycles: tuple[Cycle, ...] = (Cycle(14_000, 2e-3), Cycle(4_000, 2e-3, short=0, clear=0, hazy=0, crowd=1))
    warmup: int = 100
    weight_decay: float = 0.05
    text_weight: float = 0.1  # of everything that is not the answer
    text_share: float = 0.05  # of the questions' positions that a step learns from


def build_llm(recipe: LanguageRecipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A LLaMA with random weights."""
    build: Any = AutoModelForCausalLM.from_config  # transformers does not annotate it
    model = build(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.hidden,
            intermediate_size=recipe.feed_forward,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.heads,
            rope_parameters={"rope_type": "default", "rope_theta": recipe.rope_theta},
            max_position_embeddings=recipe.context,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        ),
        attn_implementation="eager",  # the other kernel is slow to learn with on a CPU, see `masked.Block`
    )
    assert isinstance(model, LlamaForCausalLM)
    return model


def train_llm(
    tokenizer: PreTrainedTokenizerFast,
    recipe: LanguageRecipe,
    seed: int = 0,
    processes: Processes | None = None,
) -> LlamaForCausalLM:
    """Learn the language model from texts alone.

    Args:
        tokenizer: its own.
        recipe: sizes and schedule.
        seed: of weights, texts and impressions.
        processes: that learn together, each from texts of its own; None: this one alone.
    """
    mine = processes or Processes()
    torch.manual_seed(seed)
    model = build_llm(recipe, tokenizer)
    part = replace(recipe, batch_size=max(1, recipe.batch_size // mine.size))
    for number, cycle in enumerate(recipe.cycles):
        study(model, Texts(tokenizer, seed + number + 1000 * mine.rank), part, cycle)
    return model


def study(model: LlamaForCausalLM, texts: Texts, recipe: LanguageRecipe, cycle: Cycle) -> None:
    """One cycle of lessons, with a fresh optimiser."""
    schedule = Schedule(cycle.steps, cycle.learning_rate, recipe.warmup, 0.05, recipe.weight_decay)
    learn("llm", model, _lessons(model, texts, recipe, cycle), schedule)


def _lessons(
    model: LlamaForCausalLM, texts: Texts, recipe: LanguageRecipe, cycle: Cycle
) -> Iterator[tuple[Tensor, float]]:
    """The loss of one batch of texts after the other."""
    for step in count():
        batch = texts.batch(recipe.batch_size, 1.0 if step < cycle.short * cycle.steps else 0.1)
        haze = cycle.haze(step) * float(texts.rng.uniform(cycle.thinnest, 1))
        crowd = cycle.crowd * float(texts.rng.uniform()) if cycle.crowd else 0.0
        embeddings = model.get_input_embeddings()
        assert isinstance(embeddings, nn.Embedding)
        vectors = texts.impressions.draw(batch.amounts, batch.asked, embeddings.weight, haze, crowd)
        on_answers, on_rest = _losses(model, batch, vectors, recipe)
        yield on_answers + recipe.text_weight * on_rest, on_answers.item()


def _losses(
    model: LlamaForCausalLM, batch: TextBatch, vectors: Tensor, recipe: LanguageRecipe
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the answers, and of a part of the questions."""
    embeddings = model.get_input_embeddings()
    inputs = embeddings(batch.ids).masked_scatter(batch.image[..., None], vectors)
    # The head is what costs here: all answers, and of the questions as much as keeps them readable.
    some = batch.rest.masked_fill(torch.rand(batch.rest.shape) > recipe.text_share, UNSUPERVISED)
    learned = torch.where(batch.answers != UNSUPERVISED, batch.answers, some)[:, 1:]
    kept = learned != UNSUPERVISED
    with torch.autocast("cpu", torch.bfloat16):
        states = model.model(inputs_embeds=inputs).last_hidden_state[:, :-1][kept]
        logits = model.lm_head(states).float()
    losses = nn.functional.cross_entropy(logits, learned[kept], reduction="none")
    is_answer = batch.answers[:, 1:][kept] != UNSUPERVISED
    return losses[is_answer].mean(), losses[~is_answer].mean().nan_to_num()
