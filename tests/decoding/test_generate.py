from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from aullava.decoding.generate import greedy
from aullava.models.errors import ModelError
from aullava.models.vlm import FaceLanguageModel
from aullava.text.batch import PromptBatch
from aullava.text.collate import Collator
from aullava.text.grammar import AnswerForm
from aullava.text.tokens import TokenGrammar
from datamodules.action_units import Scale
from tests.checkpoints import Backbone, build_model, faces, run, trained

AUS = "AU1 AU12L AU4 AU9"


def asked(
    collator: Collator, scale: Scale, rows: int = 6, form: AnswerForm = AnswerForm.NAMED
) -> tuple[PromptBatch, TokenGrammar]:
    prompts = collator.prompts(faces(rows, AUS, scale))
    return prompts, TokenGrammar.compile(collator.tokenizer, prompts.asked[0], scale, form)


def one_row(prompts: PromptBatch, row: int) -> PromptBatch:
    names = ("pixel_values", "input_ids", "image_mask", "attention_mask")
    return replace(prompts, **{name: getattr(prompts, name)[row : row + 1] for name in names})


def slow(model: FaceLanguageModel, prompts: PromptBatch, grammar: TokenGrammar) -> list[int]:
    """The answer of one row: the whole sequence read again for every token, a loop over the allowed ids."""
    ids: list[int] = []
    for position in range(len(grammar.steps)):
        extra = torch.tensor([ids], dtype=torch.int64)
        longer = replace(
            prompts,
            input_ids=torch.cat([prompts.input_ids, extra], dim=1),
            image_mask=F.pad(prompts.image_mask, (0, len(ids))),
            attention_mask=F.pad(prompts.attention_mask, (0, len(ids)), value=1),
        )
        logits = run(model, longer).logits[0, -1]
        ids.append(max(grammar.allowed_ids(position, ids), key=lambda token: float(logits[token])))
    return ids


@pytest.mark.parametrize("form", list(AnswerForm))
@pytest.mark.parametrize("scale", list(Scale))
def test_restricted_greedy_is_the_slow_loop(
    model: FaceLanguageModel, collator: Collator, scale: Scale, form: AnswerForm
) -> None:
    prompts, grammar = asked(collator, scale, form=form)
    with torch.no_grad():
        wanted = [slow(model, one_row(prompts, row), grammar) for row in range(6)]
    assert len({tuple(row) for row in wanted}) > 1
    assert greedy(model, prompts, grammar, 1, 0) == wanted
    assert greedy(model, prompts, grammar, 1, 0, forced_runs=True) == wanted


def test_the_intensities_tried_hold_both_units_digits(model: FaceLanguageModel, collator: Collator) -> None:
    """Else the tests here would say nothing about the digits after "1."."""
    prompts, grammar = asked(collator, Scale.INTENSITY)
    values = [grammar.decode(row) for row in greedy(model, prompts, grammar, 1, 0)]
    units = {float(value) == 1 for row in values for value in row}
    assert units == {True, False}


class Restriction(LogitsProcessor):
    """The grammar as transformers' generate takes it; with `inputs_embeds`, it is given the new ids only."""

    def __init__(self, grammar: TokenGrammar) -> None:
        self.grammar = grammar

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        masked = torch.full_like(scores, -torch.inf)
        for row, ids in enumerate(input_ids.tolist()):
            allowed = list(self.grammar.allowed_ids(len(ids), ids))
            masked[row, allowed] = scores[row, allowed]
        return masked


def generate(model: FaceLanguageModel, prompts: PromptBatch, **options: Any) -> list[list[int]]:
    with torch.no_grad():
        embeddings = model.embed(
            model.encode_images(prompts.pixel_values), prompts.input_ids, prompts.image_mask
        )
        llm: Any = model.llm
        ids: list[list[int]] = llm.generate(
            inputs_embeds=embeddings, attention_mask=prompts.attention_mask, do_sample=False, **options
        ).tolist()
    return ids


@pytest.mark.parametrize("scale", list(Scale))
def test_restricted_greedy_is_restricted_generate(
    model: FaceLanguageModel, collator: Collator, scale: Scale
) -> None:
    prompts, grammar = asked(collator, scale)
    processors = LogitsProcessorList([Restriction(grammar)])
    wanted = generate(model, prompts, logits_processor=processors, max_new_tokens=len(grammar.steps))
    assert greedy(model, prompts, grammar, 1, 0) == wanted


def ends(collator: Collator) -> int:
    assert collator.tokenizer.eos_token_id is not None
    return collator.tokenizer.eos_token_id


def test_free_greedy_is_generate(model: FaceLanguageModel, collator: Collator) -> None:
    prompts, _ = asked(collator, Scale.LEVEL)
    wanted = generate(model, prompts, max_new_tokens=30, eos_token_id=None)
    never = -1
    assert greedy(model, prompts, None, never, 30) == wanted


def test_rows_end_at_their_own_end(model: FaceLanguageModel, collator: Collator) -> None:
    """With an id that the rows write at different places, or not at all, as the end of the sequence."""
    prompts, _ = asked(collator, Scale.LEVEL, rows=8)
    endless = greedy(model, prompts, None, -1, 20)
    counts = {
        token: {row.index(token) for row in endless if token in row} for row in endless for token in row
    }
    end = max(counts, key=lambda token: len(counts[token]))
    wanted = [row[: row.index(end) + 1] if end in row else row for row in endless]
    assert len({len(row) for row in wanted}) > 2
    assert greedy(model, prompts, None, end, 20) == wanted
    pad = ends(collator)
    theirs = generate(model, prompts, max_new_tokens=20, eos_token_id=end, pad_token_id=pad)
    assert [row + [pad] * (len(theirs[0]) - len(row)) for row in wanted] == theirs


def test_decoding_stops_when_every_row_has_ended(
    model: FaceLanguageModel, collator: Collator, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, _ = asked(collator, Scale.LEVEL, rows=1)
    row = greedy(model, prompts, None, -1, 12)[0]
    passes = counted(model, monkeypatch)
    end = row[3]
    assert len(greedy(model, prompts, None, end, 12)[0]) == row.index(end) + 1
    assert passes == [1] * row.index(end)
    assert greedy(model, prompts, None, row[0], 12) == [row[:1]]


def counted(model: FaceLanguageModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each pass after the prefill reads."""
    widths: list[int] = []
    advance = model.advance

    def counting(token_ids: Tensor, state: Any) -> Tensor:
        widths.append(token_ids.shape[1])
        return advance(token_ids, state)

    monkeypatch.setattr(model, "advance", counting)
    return widths


def test_passes_are_one_per_token_or_one_per_slot(
    model: FaceLanguageModel, collator: Collator, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, grammar = asked(collator, Scale.INTENSITY)
    widths = counted(model, monkeypatch)
    slots = [position for position, step in enumerate(grammar.steps) if hasattr(step, "slot")]
    greedy(model, prompts, grammar, 1, 0)
    assert widths == [1] * slots[-1]  # what stands after the last slot needs no model
    widths.clear()
    greedy(model, prompts, grammar, 1, 0, forced_runs=True)
    assert widths == [after - before for before, after in zip([0, *slots], slots, strict=False)]


@pytest.mark.parametrize("restricted", [True, False])
def test_left_padding_changes_nothing(model: FaceLanguageModel, collator: Collator, restricted: bool) -> None:
    prompts, grammar = asked(collator, Scale.INTENSITY)
    padded = replace(
        prompts,
        input_ids=F.pad(prompts.input_ids, (9, 0), value=5),
        image_mask=F.pad(prompts.image_mask, (9, 0)),
        attention_mask=F.pad(prompts.attention_mask, (9, 0)),
    )
    held = grammar if restricted else None
    assert greedy(model, padded, held, ends(collator), 25) == greedy(model, prompts, held, ends(collator), 25)


@pytest.mark.parametrize("restricted", [True, False])
def test_the_rest_of_the_batch_changes_nothing(
    model: FaceLanguageModel, collator: Collator, restricted: bool
) -> None:
    prompts, grammar = asked(collator, Scale.LEVEL)
    held = grammar if restricted else None
    together = greedy(model, prompts, held, ends(collator), 25)
    alone = [greedy(model, one_row(prompts, row), held, ends(collator), 25)[0] for row in range(6)]
    assert together == alone


def test_prompts_padded_on_the_right_are_refused(model: FaceLanguageModel, collator: Collator) -> None:
    prompts, grammar = asked(collator, Scale.LEVEL)
    wrong = prompts.attention_mask.clone()
    wrong[0, -1] = 0
    with pytest.raises(ModelError, match="pad the questions on the left"):
        greedy(model, replace(prompts, attention_mask=wrong), grammar, 1, 0)


def test_dropout_is_off_while_decoding_and_on_after(backbone: Backbone, collator: Collator) -> None:
    dropping = trained(build_model(backbone, dropout=0.5))
    prompts, grammar = asked(collator, Scale.INTENSITY)
    wanted = greedy(dropping, prompts, grammar, 1, 0)
    dropping.train()
    assert greedy(dropping, prompts, grammar, 1, 0) == wanted
    assert (dropping.training, dropping.llm.training, dropping.vision.training) == (True, True, False)
