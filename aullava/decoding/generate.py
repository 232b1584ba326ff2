"""The reference decoder: greedy with a key-value cache, restricted to the answer's grammar or free.

Restricted, the highest of the allowed ids is taken at every position; where only one id may stand, the
grammar decides, so that the model's logits are needed at the slots alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from aullava.decoding.decisions import Decision, decide, readings
from aullava.models.vlm import FaceLanguageModel
from aullava.text import tokens
from aullava.text.answer import Answer, Scale
from aullava.text.batch import PromptBatch
from aullava.text.collate import Asked, Collator
from aullava.text.tokens import FixedToken, TokenGrammar


class Writer(Protocol):
    """The part of a Hugging Face tokenizer that turns ids back into text."""

    def decode(self, ids: list[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool) -> str:
        """The text of ids."""
        ...


def greedy(
    model: FaceLanguageModel,
    prompts: PromptBatch,
    grammar: TokenGrammar | None,
    eos_id: int,
    max_new_tokens: int,
    forced_runs: bool = False,
) -> list[list[int]]:
    """The most likely id at every position, one after the other.

    Args:
        model: on the device of the prompts; put into eval mode for the call.
        prompts: padded on the left; with a grammar, every row asks its question.
        grammar: what may stand where; None writes freely.
        eos_id: the id that ends a free answer.
        max_new_tokens: where a free answer is cut off.
        forced_runs: read the ids between two slots in one pass instead of one by one. The same in exact
            arithmetic and a few times faster; rounding may decide a tie otherwise.

    Returns:
        Each row's ids: with a grammar its whole length; free up to and with `eos_id`, or `max_new_tokens`.

    Raises:
        ModelError: as `FaceLanguageModel.prefill`.
    """
    if grammar is None:
        return _free(model, prompts, eos_id, max_new_tokens)
    ids: list[list[int]] = _restricted(model, prompts, grammar, forced_runs)[0].tolist()
    return ids


def answer_samples(
    model: FaceLanguageModel,
    collator: Collator,
    samples: Sequence[Asked],
    scale: Scale | None = None,
    free: bool = False,
    ask_unknown: bool = False,
) -> list[Answer]:
    """Ask about samples and read the answers, in one batch per question.

    Args:
        model: on any device.
        collator: writes the questions.
        samples: what to ask about.
        scale: the format to ask for; None asks for each sample's own.
        free: whether the model may write anything; else it is held to the grammar.
        ask_unknown: whether to ask about Action Units without a label too.

    Returns:
        One answer per sample, in their order.

    Raises:
        TextError: as `Collator.prompts`.
    """
    return answer_prompts(model, collator, collator.prompts(samples, scale, ask_unknown), free)


def answer_prompts(
    model: FaceLanguageModel, collator: Collator, prompts: PromptBatch, free: bool = False
) -> list[Answer]:
    """As `answer_samples`, for questions that a data loader has batched with `collator`."""
    device = next(model.parameters()).device
    answers: dict[int, Answer] = {}
    for (aus, scale), rows in by_question(prompts).items():
        grammar = collator.prompt(aus, scale).grammar
        group = some_rows(prompts, rows).to(device)
        answer_group = _free_answers if free else _restricted_answers
        answers.update(zip(rows, answer_group(model, collator, group, grammar), strict=True))
    return [answers[row] for row in range(len(prompts.asked))]


def by_question(prompts: PromptBatch) -> dict[tuple[tuple[str, ...], Scale], list[int]]:
    """The rows of a batch by what they are asked: codes and format."""
    groups: dict[tuple[tuple[str, ...], Scale], list[int]] = {}
    for row, question in enumerate(zip(prompts.asked, prompts.scales, strict=True)):
        groups.setdefault(question, []).append(row)
    return groups


def _restricted_answers(
    model: FaceLanguageModel, collator: Collator, prompts: PromptBatch, grammar: TokenGrammar
) -> list[Answer]:
    """Answers to one question, held to its grammar."""
    ids, decisions = _restricted(model, prompts, grammar, forced_runs=True)
    with evaluating(model):
        read = readings(grammar, decisions)
    rows = zip(prompts.sample_ids, ids.tolist(), read, strict=True)
    return [Answer.restricted(sample_id, grammar, row, reading) for sample_id, row, reading in rows]


def _free_answers(
    model: FaceLanguageModel, collator: Collator, prompts: PromptBatch, grammar: TokenGrammar
) -> list[Answer]:
    """Answers to one question, written freely; one longer than the grammar's is cut off and so not valid."""
    eos = tokens.eos_id(collator.tokenizer)
    writer = cast("Writer", collator.tokenizer)
    written = _free(model, prompts, eos, len(grammar.steps))
    answers = []
    for sample_id, row in zip(prompts.sample_ids, written, strict=True):
        finished = row[-1] == eos
        # Special tokens stay: an answer with one in its middle must not read as if it were not there.
        text = writer.decode(
            row[:-1] if finished else row, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        answers.append(Answer.free(sample_id, grammar, collator.form, text, finished))
    return answers


@torch.no_grad()
def _restricted(
    model: FaceLanguageModel, prompts: PromptBatch, grammar: TokenGrammar, forced_runs: bool
) -> tuple[Tensor, list[Decision]]:
    """Ids [B, L] of the grammar's length, and what was decided at each slot."""
    with evaluating(model):
        logits, state = model.prefill(*inputs_of(prompts), room=len(grammar.steps))
        ids = torch.empty(len(logits), len(grammar.steps), dtype=torch.int64, device=logits.device)
        decisions: dict[int, Decision] = {}
        read = 0
        for position, step in enumerate(grammar.steps):
            if isinstance(step, FixedToken):
                ids[:, position] = step.id
                continue
            width = position - read if forced_runs else 1
            for start in range(read, position, max(width, 1)):
                logits = model.advance(ids[:, start : start + width], state)
            read = position
            units = None if step.units is None else decisions[step.units.position]
            candidates = torch.tensor(step.ids, device=logits.device)
            decisions[position] = decide(logits[:, candidates].float(), step, units)
            ids[:, position] = candidates[decisions[position].choices]
    return ids, list(decisions.values())


@torch.no_grad()
def _free(model: FaceLanguageModel, prompts: PromptBatch, eos: int, max_new_tokens: int) -> list[list[int]]:
    """Ids of every row up to its first `eos` or to `max_new_tokens`."""
    with evaluating(model):
        logits, state = model.prefill(*inputs_of(prompts), room=max_new_tokens)
        written = [logits.argmax(dim=1)]
        finished = written[0] == eos
        while len(written) < max_new_tokens and not bool(finished.all()):
            # Rows that have ended go on unread: whatever they write is cut off below.
            written.append(model.advance(written[-1][:, None], state).argmax(dim=1))
            finished |= written[-1] == eos
    rows: list[list[int]] = torch.stack(written, dim=1).tolist()
    return [row[: row.index(eos) + 1] if eos in row else row for row in rows]


def inputs_of(prompts: PromptBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What `FaceLanguageModel.prefill` reads of a batch."""
    return prompts.pixel_values, prompts.input_ids, prompts.image_mask, prompts.attention_mask


def some_rows(prompts: PromptBatch, rows: list[int]) -> PromptBatch:
    """Some rows of a batch, without the padding that only the others needed."""
    picked: dict[str, Any] = {}
    for field in fields(prompts):
        value = getattr(prompts, field.name)
        picked[field.name] = value[rows] if isinstance(value, Tensor) else tuple(value[row] for row in rows)
    width = int(picked["prompt_lengths"].max())
    for name in ("input_ids", "image_mask", "attention_mask"):
        picked[name] = picked[name][:, -width:]
    return replace(prompts, **picked)


@contextmanager
def evaluating(model: FaceLanguageModel) -> Iterator[None]:
    """No dropout and no autocast while decoding: a fit's validation answers as a later test does."""
    training, device = model.training, next(model.parameters()).device
    model.eval()
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        model.train(training)
