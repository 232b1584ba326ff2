"""Intensities of an answer that is one text: every value scored as if it had been written there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aullava.decoding.branches import grid
from aullava.decoding.one_pass import OnePass
from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator
from aullava.text.grammar import AnswerForm
from datamodules.action_units import Scale
from tests.checkpoints import Backbone, build_collator, faces
from tests.text.helpers import Face

AUS = ("AU1", "AU12L", "AU4")


def forced(model: FaceLanguageModel, asking: Collator, sample: Face, values: list[float], au: int) -> float:
    """The probability of one value behind those before it, by a plain causal pass over the whole text."""
    batch = asking.prompts([sample])
    grammar = asking.prompt(AUS, Scale.INTENSITY).grammar
    ids = grammar.encode(values)
    whole = torch.cat([batch.input_ids, torch.tensor([ids])], 1)
    image = torch.nn.functional.pad(batch.image_mask, (0, len(ids)))
    logits = model(batch.pixel_values, whole, image, torch.ones_like(whole)).logits[0]
    product = 1.0
    for position, step in enumerate(grammar.steps):
        if getattr(step, "slot", None) is None or step.slot.au != AUS[au]:  # type: ignore[union-attr]
            continue
        allowed = list(grammar.allowed_ids(position, ids))
        scores = logits[batch.input_ids.shape[1] + position - 1, allowed].softmax(0)
        product *= float(scores[allowed.index(ids[position])])
    return product


@pytest.mark.parametrize("form", list(AnswerForm))
def test_expectation_and_spread_are_those_of_every_value_written_there(
    backbone: Backbone, model: FaceLanguageModel, form: AnswerForm
) -> None:
    asking = build_collator(backbone, form)
    samples = faces(3, " ".join(AUS), Scale.INTENSITY)
    prompts = asking.prompts(samples)
    plain = OnePass(model, asking).answers(prompts)
    answers = OnePass(model, asking, exact=True).answers(prompts)
    assert [one.text for one in answers] == [one.text for one in plain]
    assert not np.allclose([one.expected for one in answers], [one.expected for one in plain], atol=1e-3)
    values = grid(Scale.INTENSITY)[: 100 if form is AnswerForm.COMPACT else 101]
    answer, au = answers[1], 1
    with torch.no_grad():
        written = answer.values.tolist()
        probs = [
            forced(model, asking, samples[1], [*written[:au], float(value), *written[au + 1 :]], au)
            for value in values
        ]
    mean = float(np.dot(probs, values))
    assert sum(probs) == pytest.approx(1, abs=1e-5)
    assert answer.expected[au] == pytest.approx(mean, abs=1e-5)
    assert answer.spread[au] == pytest.approx(float(np.sqrt(np.dot(probs, (values - mean) ** 2))), abs=1e-5)
    assert answer.slot_probs[au] == pytest.approx(probs[round(written[au] * 100)], abs=1e-5)
