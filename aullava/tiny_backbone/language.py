"""The tiny language model: a LLaMA-type LLM that learns the text templates and to look things up in them.

It never sees a picture or a picture's labels. Where a question has its image, the training texts have
`impressions`, vectors made of the LLM's own words about random amounts, and the answer follows from those
amounts. So it learns the formats, the scales, and to answer from what stands in the image's place.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from aullava.tiny_backbone.impressions import Impressions
from aullava.tiny_backbone.texts import IGNORED, TextBatch, Texts


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
    steps: int = 14_000
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.05
    text_weight: float = 0.1  # of everything that is not the answer
    text_share: float = 0.05  # of the questions' positions that a step learns from
    short: float = 0.1  # of the steps ask short questions only, later ones 1 in 10
    clear: float = 0.2  # of the steps read clear impressions; then haze comes up
    hazy: float = 0.5  # of the steps are over when it is full
    thinnest: float = 0.4  # haze of a batch is at least this share of what it may be

    def haze(self, step: int) -> float:
        """How hard the impressions are to read at most at a step, 0 to 1."""
        return min(1.0, max(0.0, (step / self.steps - self.clear) / (self.hazy - self.clear)))


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
            rope_parameters={"rope_type": "default", "rope_theta": recipe.rope_theta},
            max_position_embeddings=recipe.context,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


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
    texts, start, running = Texts(tokenizer, seed), time.monotonic(), 3.0
    for step in range(recipe.steps):
        batch = texts.batch(recipe.batch_size, 1.0 if step < recipe.short * recipe.steps else 0.1)
        haze = recipe.haze(step) * float(texts.rng.uniform(recipe.thinnest, 1))
        on_answers, on_rest = _losses(model, batch, texts.impressions, recipe, haze)
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


def _losses(
    model: LlamaForCausalLM, batch: TextBatch, impressions: Impressions, recipe: LanguageRecipe, haze: float
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the answers, and of a part of the questions."""
    embeddings = model.get_input_embeddings()
    assert isinstance(embeddings, nn.Embedding)
    vectors = impressions.draw(batch.amounts, batch.asked, embeddings.weight, haze)
    inputs = embeddings(batch.ids).masked_scatter(batch.image[..., None], vectors)
    # The head is what costs here: all answers, and of the questions as much as keeps them readable.
    some = batch.rest.masked_fill(torch.rand(batch.rest.shape) > recipe.text_share, IGNORED)
    learned = torch.where(batch.answers != IGNORED, batch.answers, some)[:, 1:]
    kept = learned != IGNORED
    with torch.autocast("cpu", torch.bfloat16):
        states = model.model(inputs_embeds=inputs).last_hidden_state[:, :-1][kept]
        logits = model.lm_head(states).float()
    losses = nn.functional.cross_entropy(logits, learned[kept], reduction="none")
    is_answer = batch.answers[:, 1:][kept] != IGNORED
    return losses[is_answer].mean(), losses[~is_answer].mean().nan_to_num()
