"""Drafts: what the frames before and a reader announce, and what stood behind a digit before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from aullava.decoding.drafts import Drafts, Values
from aullava.decoding.generate import answer_prompts
from aullava.decoding.habits import Habits
from aullava.decoding.one_pass import OnePass
from aullava.decoding.slots import SlotTable
from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator
from datamodules.action_units import Scale
from tests.checkpoints import faces
from tests.decoding.test_one_pass import AUS, Guess, same

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
    assert known.begin(1, None, "clip").tolist() == [[1, 0, 1, 0]]
    # Nothing is known of other videos, or of pictures: the commonest answer.
    assert known.begin(2, None, "another").tolist() == [[0, 0, 1, 0]] * 2
    assert known.begin(1, None, None).tolist() == [[0, 0, 1, 0]]


def test_one_frame_says_that_nothing_moves(collator: Collator) -> None:
    known = drafts(collator, Scale.PRESENCE)
    for odds in (-0.05, 0.05, -0.05):  # so far it was absent more often
        scores = logits([odds, 1, 1, 1])
        known.learn(scores.argmax(dim=2), scores, None, None)
    show(known, logits([0.05, -1, 1, -1]), "clip")
    assert known.begin(1, None, "clip").tolist() == [[1, 0, 1, 0]]


def test_noise_is_smoothed_and_jumps_are_not_continued(collator: Collator) -> None:
    rng = np.random.default_rng(0)
    noisy = drafts(collator, Scale.PRESENCE)
    for _ in range(200):
        show(noisy, logits([0.5 + rng.normal(), -3, 3, -3]), "clip")
    show(noisy, logits([0.6, -3, 3, -3]), "clip")
    show(noisy, logits([-0.1, -3, 3, -3]), "clip")
    assert noisy.begin(1, None, "clip")[0, 0] == 1  # it comes back, as it did before
    jumping = drafts(collator, Scale.PRESENCE)
    for _ in range(20):
        odds = rng.normal(size=4).astype(np.float32)
        for _ in range(5):
            show(jumping, logits(odds), "clip")
    show(jumping, logits([-3, -3, -3, -3]), "clip")
    show(jumping, logits([-0.3, -3, -3, -3]), "clip")
    assert jumping.begin(1, None, "clip")[0, 0] == 0


def test_what_a_reader_sees_moves_the_draft(collator: Collator) -> None:
    """The logits follow the probe's, at half their size and another place; one batch of frames ahead."""
    known, rng = drafts(collator, Scale.PRESENCE), np.random.default_rng(1)
    for _ in range(30):
        odds = rng.normal(size=(1, 4)).astype(np.float32)
        show(known, logits(0.5 * odds[0] - 0.2), "clip", np.exp(-np.logaddexp(0, -odds), dtype=np.float32))
    wanted = rng.normal(size=(6, 4)).astype(np.float32)
    found = known.begin(6, np.exp(-np.logaddexp(0, -wanted), dtype=np.float32), "clip")
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
