"""Drafts: what the frames before and a reader announce, and what stood behind a digit before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aullava.decoding.drafts import Doubt, Draft, Drafts, Values
from aullava.decoding.generate import answer_prompts
from aullava.decoding.habits import Habits
from aullava.decoding.one_pass import OnePass
from aullava.decoding.slots import SlotTable
from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator
from aullava.text.grammar import AnswerForm
from aullava.text.question import Order
from datamodules.action_units import Scale
from tests.checkpoints import Backbone, build_collator, faces
from tests.decoding.test_one_pass import AUS, Guess, always, same

CODES = tuple(AUS.split())


def drafts(collator: Collator, scale: Scale) -> Drafts:
    return Drafts(SlotTable(collator.prompt(CODES, scale).grammar))


def logits(present: Sequence[float] | Values) -> Tensor:
    """Scores [1, 4, 2] of four Action Units with these log-odds of presence."""
    odds = torch.tensor(np.array([present]), dtype=torch.float32)
    return torch.stack([-odds / 2, odds / 2], dim=-1) + 3.0  # what both share says nothing


def show(known: Drafts, scores: Tensor, video: str, guess: Values | None = None) -> None:
    known.learn(scores.argmax(dim=2), scores, guess, video)


def test_a_decision_changes_where_its_logits_are_heading(collator: Collator) -> None:
    """AU1 rises by 1 a frame: its presence is drafted in the frame in which it begins."""
    known = drafts(collator, Scale.PRESENCE)
    for frame in range(-10, 0):
        show(known, logits([frame + 0.5, -2, 2, -2]), "clip")
    assert known.begin(1, None, "clip").choices.tolist() == [[1, 0, 1, 0]]
    # Nothing is known of other videos, or of pictures: the commonest answer.
    assert known.begin(2, None, "another").choices.tolist() == [[0, 0, 1, 0]] * 2
    assert known.begin(1, None, None).choices.tolist() == [[0, 0, 1, 0]]


def test_one_frame_says_that_nothing_moves(collator: Collator) -> None:
    known = drafts(collator, Scale.PRESENCE)
    for odds in (-0.05, 0.05, -0.05):  # so far it was absent more often
        scores = logits([odds, 1, 1, 1])
        known.learn(scores.argmax(dim=2), scores, None, None)
    show(known, logits([0.05, -1, 1, -1]), "clip")
    assert known.begin(1, None, "clip").choices.tolist() == [[1, 0, 1, 0]]


def test_noise_is_smoothed_and_jumps_are_not_continued(collator: Collator) -> None:
    rng = np.random.default_rng(0)
    noisy = drafts(collator, Scale.PRESENCE)
    for _ in range(200):
        show(noisy, logits([0.5 + rng.normal(), -3, 3, -3]), "clip")
    show(noisy, logits([0.6, -3, 3, -3]), "clip")
    show(noisy, logits([-0.1, -3, 3, -3]), "clip")
    assert noisy.begin(1, None, "clip").choices[0, 0] == 1  # it comes back, as it did before
    jumping = drafts(collator, Scale.PRESENCE)
    for _ in range(20):
        odds = rng.normal(size=4).astype(np.float32)
        for _ in range(5):
            show(jumping, logits(odds), "clip")
    show(jumping, logits([-3, -3, -3, -3]), "clip")
    show(jumping, logits([-0.3, -3, -3, -3]), "clip")
    assert jumping.begin(1, None, "clip").choices[0, 0] == 0


def test_what_a_reader_sees_moves_the_draft(collator: Collator) -> None:
    """The logits follow the probe's, at half their size and another place; one batch of frames ahead."""
    known, rng = drafts(collator, Scale.PRESENCE), np.random.default_rng(1)
    for _ in range(30):
        odds = rng.normal(size=(1, 4)).astype(np.float32)
        show(known, logits(0.5 * odds[0] - 0.2), "clip", np.exp(-np.logaddexp(0, -odds), dtype=np.float32))
    wanted = rng.normal(size=(6, 4)).astype(np.float32)
    found = known.begin(6, np.exp(-np.logaddexp(0, -wanted), dtype=np.float32), "clip").choices
    np.testing.assert_array_equal(found, 0.5 * wanted - 0.2 > 0)


def test_digits_behind_a_changed_one_are_those_of_before(collator: Collator) -> None:
    table = SlotTable(collator.prompt(CODES, Scale.INTENSITY).grammar)
    habits = Habits(table)

    def choices(value: float) -> Tensor:
        return table.choices_of(np.array([[value, 0.25, 0.25, 1.0]], np.float32))

    for value in (0.47, 0.47, 0.42, 0.85):
        habits.learn(choices(value))
    assert torch.equal(habits.draft(2), choices(0.47).repeat(2, 1))
    old = choices(0.85)
    new = old.clone()
    new[0, 1] = 4
    assert torch.equal(habits.follow(new, old), choices(0.47))
    new[0, 1] = 6  # never seen: what was drafted stays
    assert torch.equal(habits.follow(new, old), choices(0.65))
    new[0, 1] = 2  # seen of other Action Units
    assert torch.equal(habits.follow(new, old), choices(0.25))
    whole = choices(1.0)
    below = whole.clone()
    below[0, 0] = 0
    assert torch.equal(habits.follow(below, whole), choices(0.47))


@pytest.mark.parametrize("scale", list(Scale))
def test_answers_about_frames_are_those_of_the_reference(
    model: FaceLanguageModel, collator: Collator, scale: Scale
) -> None:
    """Faces that change, in frames one by one and by threes, with a reader that says what it likes."""
    prompts = collator.prompts(faces(12, AUS, scale))
    wanted = answer_prompts(model, collator, prompts)
    for reader in (None, Guess(None)):
        for size in (1, 3):
            decoder = OnePass(model, collator, reader)
            features = decoder.see([face.image for face in faces(12, AUS, scale)])
            found = []
            for start in range(0, 12, size):
                names = [one.sample_id for one in wanted[start : start + size]]
                part = features[start : start + size]
                found += decoder.ask(part, names, CODES, scale, "clip")
            same(found, wanted)
            decoder.forget()
            same(decoder.ask(features[-1:], [wanted[-1].sample_id], CODES, scale, "clip"), wanted[-1:])


def standing(known: Drafts, value: float) -> Tensor:
    """Logits [1, S, C] of an answer that gives every Action Unit this value, by far the likeliest."""
    table = known.table
    choices = table.choices_of(np.full((1, len(CODES)), value, np.float32))
    return 9.0 * torch.nn.functional.one_hot(choices, table.ids.shape[1])


def test_the_digit_nearest_to_another_is_in_doubt(collator: Collator) -> None:
    """Units, tenths, hundredths: only of the tenths does it matter, for only they take a digit with them."""
    known = drafts(collator, Scale.INTENSITY)
    scores = standing(known, 0.25)
    scores[0, 4, 3] += 8  # AU12L: .25 or .35
    scores[0, 6, 1] += 8.5  # AU4: 0 or 1 before the point, then nothing is left to decide
    scores[0, 11, 7] += 8.5  # AU9: .25 or .27
    assert known.begin(1, None, "clip").doubt is None
    show(known, scores, "clip")
    doubt = known.begin(2, None, "clip").doubt
    assert doubt is not None
    assert (doubt.slot, doubt.choices.tolist()) == (4, [3, 3])
    assert known.begin(1, None, None).doubt is None
    one_digit = drafts(collator, Scale.LEVEL)
    show(one_digit, torch.rand(1, 4, 6), "clip")
    assert one_digit.begin(1, None, "clip").doubt is None


@pytest.mark.parametrize("nine", [20.0, -0.01])
def test_digits_that_hang_on_others_are_in_no_doubt(collator: Collator, nine: float) -> None:
    """Of 1.00 the tenths can be nothing but 0, whatever is likeliest there, by however little."""
    known = drafts(collator, Scale.INTENSITY)
    scores = standing(known, 0.25)
    scores[0, 3:6] = standing(known, 1.0)[0, 3:6]
    scores[0, 4, 9] = scores[0, 4, 0] + nine
    scores[0, 10, 1] += 2
    choices = scores.argmax(dim=2)
    choices[0, 4] = 0
    known.learn(choices, scores, None, "clip")
    doubt = known.begin(1, None, "clip").doubt
    assert doubt is not None
    assert (doubt.slot, doubt.choices.tolist()) == (10, [1])


def test_a_video_is_drafted_with_its_last_digits(collator: Collator) -> None:
    habits = Habits(SlotTable(collator.prompt(CODES, Scale.INTENSITY).grammar))
    table = habits.table
    old, new = (table.choices_of(np.full((1, 4), value, np.float32)) for value in (0.31, 0.47))
    for _ in range(3):
        habits.learn(new)
    habits.learn(table.choices_of(np.full((1, 4), 0.48, np.float32)), frames=True)
    wrong = new.clone()
    wrong[:, 2::3] = 1
    assert habits.follow(wrong, old)[0, 2::3].tolist() == [8] * 4
    habits.note(torch.tensor([2]), torch.tensor([4]), torch.tensor([5]))  # AU1: read beside what was drafted
    assert habits.follow(wrong, old)[0, 2::3].tolist() == [5, 8, 8, 8]
    habits.turn_away()
    assert torch.equal(habits.follow(wrong, old), new)


class Told(Drafts):
    """Drafts and doubts that are handed in."""

    told: Draft

    def begin(self, rows: int, guess: Values | None, video: str | None) -> Draft:
        return self.told


@pytest.mark.parametrize("order", [Order.DEFINITIONS_FIRST, Order.IMAGE_FIRST])
@pytest.mark.parametrize(
    ("form", "attention"),
    [(AnswerForm.NAMED, "sdpa"), (AnswerForm.NAMED, "eager"), (AnswerForm.COMPACT, "sdpa")],
)
def test_a_digit_in_doubt_shows_the_one_behind_it(
    backbone: Backbone,
    model: FaceLanguageModel,
    form: AnswerForm,
    attention: str,
    order: Order,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last value is drafted wrongly: two passes instead of three if its tenths were in doubt.

    With the image first the face has been read already, for another question.
    """
    always(monkeypatch, True)
    monkeypatch.setattr("aullava.decoding.one_pass.Drafts", Told)
    monkeypatch.setattr(model.llm.config, "_attn_implementation", attention)
    asking = build_collator(backbone, form, order=order)
    samples = faces(8, AUS, Scale.INTENSITY)
    wanted = answer_prompts(model, asking, asking.prompts(samples))
    table = SlotTable(asking.prompt(CODES, Scale.INTENSITY).grammar)
    passes = []
    for sample, answer in zip(samples, wanted, strict=True):
        if answer.values[-1] == 1:  # all digits are those that have to be
            continue
        right = table.choices_of(answer.values[None])
        wrong = right.clone()
        wrong[:, -2:] = (right[:, -2:] + 1) % 10
        for doubt in (None, Doubt(len(table.steps) - 2, right[:, -2])):
            decoder = OnePass(model, asking)
            features = decoder.see([sample.image])
            Told.told = Draft(torch.zeros(1, len(CODES), dtype=torch.int64))
            decoder.ask(features, [""], CODES, Scale.PRESENCE)
            before = decoder.counts.passes
            Told.told = Draft(wrong, doubt)
            same(decoder.ask(features, [answer.sample_id], CODES, Scale.INTENSITY, "clip"), [answer])
            passes.append(decoder.counts.passes - before)
    # Behind wrong tenths the right hundredths may be likeliest too.
    assert 3 in passes[::2]
    assert set(passes[1::2]) == {2}


def test_no_doubt_is_read_where_rows_cannot_be_kept_apart(
    model: FaceLanguageModel, collator: Collator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mask that is handed in replaces a sliding window, or is not looked at."""
    branches: list[bool] = []
    read_questions = model.read_questions

    def watching(*told: Any) -> Tensor:
        branches.append(told[-1] is not None)
        return read_questions(*told)

    monkeypatch.setattr(model, "read_questions", watching)
    frames = [sample.image for sample in faces(4, AUS, Scale.INTENSITY)]
    for folds in (True, False):
        monkeypatch.setattr(model, "_folds", folds)
        decoder = OnePass(model, collator)
        for frame in frames:
            decoder.ask(decoder.see([frame]), [""], CODES, Scale.INTENSITY, "clip")
    assert branches == [False, True, True, True, *[False] * 4]
