"""The fast decoder writes what the reference writes, whatever the drafts, the batch and the passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from aullava.decoding.cost import PassCost
from aullava.decoding.generate import answer_prompts
from aullava.decoding.one_pass import OnePass
from aullava.models.vlm import FaceLanguageModel
from aullava.text.answer import Answer
from aullava.text.collate import Collator
from aullava.text.grammar import AnswerForm
from aullava.text.question import Order
from datamodules.action_units import Scale
from tests.checkpoints import Backbone, build_collator, build_model, faces
from tests.text.helpers import Face

AUS = "AU1 AU12L AU4 AU9"


def always(monkeypatch: pytest.MonkeyPatch, drafts: bool) -> None:
    """Read all that is drafted, or go from slot to slot, whatever it costs."""
    monkeypatch.setattr(PassCost, "drafts_pay", lambda *_: drafts)


def same(ours: Sequence[Answer], theirs: Sequence[Answer]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert (one.sample_id, one.aus, one.scale, one.text) == (
            other.sample_id,
            other.aus,
            other.scale,
            other.text,
        )
        np.testing.assert_array_equal(one.values, other.values)
        for name in ("slot_probs", "expected", "spread"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", list(AnswerForm))
@pytest.mark.parametrize("scale", list(Scale))
@pytest.mark.parametrize("drafts", [True, False])
def test_answers_are_those_of_the_reference(
    backbone: Backbone,
    model: FaceLanguageModel,
    scale: Scale,
    form: AnswerForm,
    drafts: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    always(monkeypatch, drafts)
    collator = build_collator(backbone, form)
    prompts = collator.prompts(faces(12, AUS, scale))
    wanted = answer_prompts(model, collator, prompts)
    assert len({answer.text for answer in wanted}) > 1
    same(OnePass(model, collator).answers(prompts), wanted)


class Guess:
    """A reader that says what it is told, or noise."""

    def __init__(self, values: npt.NDArray[np.float32] | None) -> None:
        self.values = values

    def guess(self, features: Tensor, aus: Sequence[str], scale: Scale) -> npt.NDArray[np.float32]:
        if self.values is not None:
            return self.values
        return np.random.default_rng(5).uniform(-1, 6, (len(features), len(aus))).astype(np.float32)


@pytest.mark.parametrize("scale", list(Scale))
def test_a_right_draft_is_read_once(model: FaceLanguageModel, collator: Collator, scale: Scale) -> None:
    prompts = collator.prompts(faces(6, AUS, scale))
    wanted = answer_prompts(model, collator, prompts)
    told = np.stack([answer.values for answer in wanted])
    decoder = OnePass(model, collator, Guess(told))
    same(decoder.answers(prompts), wanted)
    assert (decoder.counts.rows, decoder.counts.passes) == (6, 6)
    assert decoder.counts.passes_per_row == 1
    assert decoder.counts.tokens == decoder.counts.answer_tokens - 6  # the end of the sequence is not read


@pytest.mark.parametrize("scale", list(Scale))
def test_a_wrong_draft_changes_nothing(model: FaceLanguageModel, collator: Collator, scale: Scale) -> None:
    prompts = collator.prompts(faces(6, AUS, scale))
    wanted = answer_prompts(model, collator, prompts)
    decoder = OnePass(model, collator, Guess(None))
    same(decoder.answers(prompts), wanted)
    assert decoder.counts.passes_per_row > 1
    same(decoder.answers(prompts), wanted)


def test_the_certificate_is_free_decoding(backbone: Backbone, collator: Collator) -> None:
    """On a model that follows the template for some faces and leaves it for others."""
    torch.manual_seed(0)
    model = build_model(backbone)
    samples = [*faces(4, "AU1 AU4", Scale.PRESENCE), *faces(4, "AU4 AU9", Scale.INTENSITY)]
    batch = collator(samples)
    optimiser = torch.optim.AdamW([t for t in model.parameters() if t.requires_grad], lr=2e-2)
    asked = collator.prompts([*samples, *faces(24, "AU1 AU4", Scale.LEVEL, seed=1)])
    seen: set[tuple[bool, ...]] = set()
    for _ in range(12):
        for _ in range(4):
            loss = model(
                batch.pixel_values, batch.input_ids, batch.image_mask, batch.attention_mask, batch.labels
            ).loss
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
        answers = OnePass(model, collator).answers(asked)
        free = answer_prompts(model, collator, asked, free=True)
        certified = [answer.certified for answer in answers]
        assert certified == [
            one.valid and one.text == other.text for one, other in zip(free, answers, strict=True)
        ]
        seen.add(tuple(map(bool, certified)))
        decoder = OnePass(model, collator)  # the same as frames, of which the second and later have doubts
        for sample, sure in zip(samples[4:], certified[4:8], strict=True):
            frame = decoder.see([sample.image])
            assert decoder.ask(frame, [""], sample.aus, Scale.INTENSITY, "clip")[0].certified == sure
    assert {True, False} == {one for row in seen for one in row}


def test_the_rest_of_the_batch_changes_nothing(model: FaceLanguageModel, collator: Collator) -> None:
    """Three formats, two sets of Action Units, in one batch, alone, and in another order."""
    asked = [("AU1 AU4", Scale.PRESENCE), (AUS, Scale.INTENSITY), ("AU4", Scale.LEVEL)]
    kinds = [faces(4, aus, scale) for aus, scale in asked]
    samples: list[Face] = [sample for trio in zip(*kinds, strict=True) for sample in trio]
    together = OnePass(model, collator).answers(collator.prompts(samples))
    assert [answer.sample_id for answer in together] == [sample.sample_id for sample in samples]
    alone = OnePass(model, collator)
    same([alone.answers(collator.prompts([sample]))[0] for sample in samples], together)
    backwards = OnePass(model, collator).answers(collator.prompts(samples[::-1]))
    same(backwards[::-1], together)


def test_the_beginning_of_a_question_is_read_once(
    model: FaceLanguageModel, collator: Collator, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    beginning = model.read_beginning

    def counting(ids: Tensor) -> Any:
        read.append(len(ids))
        return beginning(ids)

    monkeypatch.setattr(model, "read_beginning", counting)
    decoder, whole = OnePass(model, collator), OnePass(model, collator, share=False)
    for scale in Scale:
        prompts = collator.prompts(faces(3, AUS, scale))
        same(decoder.answers(prompts), whole.answers(prompts))
    cut = collator.prompt(tuple(AUS.split()), Scale.LEVEL).image.index(True)
    assert read == [cut]  # purpose and definitions are the same in all formats
    decoder.forget()
    decoder.answers(prompts)
    assert read == [cut, cut]


@pytest.mark.parametrize("order", list(Order))
def test_a_face_is_read_once_for_all_formats(
    backbone: Backbone, model: FaceLanguageModel, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the image stands before what differs, only that and the answer are paid for again."""
    collator = build_collator(backbone, definitions=True, order=order)
    rows: list[int] = []
    read_questions = model.read_questions

    def counting(features: Tensor, *others: Any) -> Tensor:
        rows.append(len(features))
        return read_questions(features, *others)

    monkeypatch.setattr(model, "read_questions", counting)
    pictures = [face.image for face in faces(5, AUS, Scale.PRESENCE)]
    aus, names = tuple(AUS.split()), list("abcde")
    decoder, whole = OnePass(model, collator), OnePass(model, collator, share=False)
    features = decoder.see(pictures)
    formats = [Scale.PRESENCE, Scale.INTENSITY, Scale.LEVEL, Scale.PRESENCE]  # the second one needs more room
    found = [decoder.ask(features, names, aus, scale) for scale in formats]
    assert rows == [5] * (4 if order is Order.QUESTION_FIRST else 1)
    for scale, answers in zip(formats, found, strict=True):
        same(answers, whole.ask(features, names, aus, scale))
    rows.clear()
    decoder.ask(features[:3], names[:3], aus, Scale.LEVEL)  # other faces
    decoder.ask(features, names, ("AU9",), Scale.LEVEL)  # another question
    assert len(rows) == (1 if order is Order.IMAGE_FIRST else 2)
    decoder.forget()
    rows.clear()
    decoder.ask(features, names, aus, Scale.LEVEL)
    assert rows == [5]


@pytest.mark.parametrize("scale", list(Scale))
def test_the_head_on_a_few_words_gives_the_same_probabilities(
    model: FaceLanguageModel, collator: Collator, scale: Scale
) -> None:
    prompts = collator.prompts(faces(5, AUS, scale))
    answers = OnePass(model, collator, certify=False).answers(prompts)
    same(answers, answer_prompts(model, collator, prompts))
    assert {answer.certified for answer in answers} == {None}


def test_rows_that_are_done_cost_nothing_more(
    model: FaceLanguageModel, collator: Collator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With right drafts for all rows but one, only this one is read again."""
    always(monkeypatch, True)
    prompts = collator.prompts(faces(6, AUS, Scale.PRESENCE))
    wanted = answer_prompts(model, collator, prompts)
    told = np.stack([answer.values for answer in wanted])
    told[2, 0] = 1 - told[2, 0]
    rows: list[int] = []
    read_on = model.read_on

    def counting(ids: Tensor, state: Any) -> Tensor:
        rows.append(len(ids))
        return read_on(ids, state)

    monkeypatch.setattr(model, "read_on", counting)
    same(OnePass(model, collator, Guess(told)).answers(prompts), wanted)
    assert rows
    assert set(rows) == {1}


def test_parts_split_where_reading_again_costs_more_than_a_pass(
    model: FaceLanguageModel, collator: Collator, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch, True)
    prompts = collator.prompts(faces(16, AUS, Scale.INTENSITY))
    wanted = answer_prompts(model, collator, prompts)
    counts = []
    for overhead in (0.0, 1e9):
        monkeypatch.setattr(PassCost, "of", lambda *_, cost=overhead: PassCost(cost))
        decoder = OnePass(model, collator, Guess(None))
        same(decoder.answers(prompts), wanted)
        counts.append(decoder.counts.tokens)
    assert counts[0] < counts[1]


def test_the_last_slot_and_what_follows_are_read_together(
    model: FaceLanguageModel, collator: Collator
) -> None:
    """The last tenths are drafted wrongly, but what stands behind the right ones is known."""
    for sample in faces(4, AUS, Scale.INTENSITY):
        prompts = collator.prompts([sample])
        wanted = answer_prompts(model, collator, prompts)
        right = wanted[0].values[None]
        reader = Guess(right)
        decoder = OnePass(model, collator, reader)
        same(decoder.answers(prompts), wanted)
        reader.values = right.copy()
        reader.values[0, -1] += 0.1 if right[0, -1] < 0.9 else -0.1
        same(decoder.answers(prompts), wanted)
        assert decoder.counts.passes == 1 + 2


def test_large_batches_go_from_slot_to_slot() -> None:
    cost = PassCost(16.0)
    assert cost.drafts_pay(rows=1, passes=12, tokens=79, again=0.5)
    assert not cost.drafts_pay(rows=64, passes=12, tokens=79, again=0.5)
    assert cost.drafts_pay(rows=64, passes=12, tokens=79, again=0.01)


def test_a_pass_costs_what_the_benchmark_measured() -> None:
    """`pass_overhead_tokens` of benchmarks/decoding.py on a CPU, within a third."""
    measured = {(5_000_000, False): 29, (134_000_000, False): 11, (134_000_000, True): 31}
    for (parameters, half), tokens in measured.items():
        assert PassCost.of(parameters, "cpu", half).overhead == pytest.approx(tokens, rel=1 / 3)
    assert PassCost.of(7_000_000_000, "cuda").overhead > PassCost.of(7_000_000_000, "cpu").overhead
