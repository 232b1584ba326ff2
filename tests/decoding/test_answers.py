from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from aullava.decoding.generate import answer_prompts, answer_samples
from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator
from aullava.text.errors import NoSupervisionError
from datamodules.action_units import UNKNOWN, Scale
from tests.checkpoints import Backbone, build_model, faces, run


def test_a_mixed_batch_is_answered_as_its_rows_alone(model: FaceLanguageModel, collator: Collator) -> None:
    """Three formats, two sets of Action Units, one unknown label, interleaved: nothing leaks between rows."""
    kinds = [
        faces(3, "AU1 AU4", Scale.PRESENCE),
        faces(3, "AU9 AU12L", Scale.INTENSITY),
        faces(3, "AU4", Scale.LEVEL),
    ]
    kinds[0][1].labels[0] = UNKNOWN
    samples = [sample for trio in zip(*kinds, strict=True) for sample in trio]
    together = answer_samples(model, collator, samples)
    assert [answer.sample_id for answer in together] == [sample.sample_id for sample in samples]
    assert [answer.scale for answer in together] == [sample.scale for sample in samples]
    assert together[3].aus == ("AU4",)
    for sample, answer in zip(samples, together, strict=True):
        (alone,) = answer_samples(model, collator, [sample])
        assert (alone.text, alone.valid) == (answer.text, True)
        np.testing.assert_array_equal(alone.values, answer.values)
        np.testing.assert_allclose(alone.slot_probs, answer.slot_probs, rtol=1e-4)
    batched = answer_prompts(model, collator, collator.prompts(samples))
    assert [answer.text for answer in batched] == [answer.text for answer in together]


def test_text_and_values_say_the_same(model: FaceLanguageModel, collator: Collator) -> None:
    for answer in answer_samples(model, collator, faces(4, "AU1 AU4", Scale.INTENSITY)):
        assert answer.text == ", ".join(
            f"{au}: {v:.2f}" for au, v in zip(answer.aus, answer.values, strict=True)
        )
        assert answer.values.dtype == np.float32


def reference_logits(
    model: FaceLanguageModel, collator: Collator, scale: Scale
) -> tuple[torch.Tensor, list[list[int]]]:
    """Logits before every token of the model's own answers, by one full forward pass, and their ids."""
    samples = faces(4, "AU1 AU4 AU12L", scale)
    answers = answer_samples(model, collator, samples)
    told = [replace(sample, labels=answer.values) for sample, answer in zip(samples, answers, strict=True)]
    batch = collator(told)
    supervised = batch.labels != -100
    with torch.no_grad():
        logits = run(model, replace(batch), batch.labels).logits
    length = int(supervised[0].sum())
    return logits.view(4, length, -1), batch.labels[supervised].view(4, length).tolist()


def test_presence_probabilities_are_of_present(model: FaceLanguageModel, collator: Collator) -> None:
    logits, _ = reference_logits(model, collator, Scale.PRESENCE)
    answers = answer_samples(model, collator, faces(4, "AU1 AU4 AU12L", Scale.PRESENCE))
    grammar = collator.prompt(answers[0].aus, Scale.PRESENCE).grammar
    for row, answer in enumerate(answers):
        wanted = []
        for position in range(len(grammar.steps)):
            ids = grammar.allowed_ids(position, [])
            if len(ids) == 2:
                wanted.append(float(F.softmax(logits[row, position, list(ids)], dim=0)[1]))
        np.testing.assert_allclose(answer.slot_probs, wanted, rtol=1e-4)
        np.testing.assert_array_equal(answer.slot_probs > 0.5, answer.values == 1)


@pytest.mark.parametrize("scale", [Scale.LEVEL, Scale.INTENSITY])
def test_other_probabilities_are_of_what_was_chosen(
    model: FaceLanguageModel, collator: Collator, scale: Scale
) -> None:
    logits, ids = reference_logits(model, collator, scale)
    answers = answer_samples(model, collator, faces(4, "AU1 AU4 AU12L", scale))
    grammar = collator.prompt(answers[0].aus, scale).grammar
    for row, answer in enumerate(answers):
        wanted = dict.fromkeys(answer.aus, 1.0)
        for position, step in enumerate(grammar.steps):
            allowed = list(grammar.allowed_ids(position, ids[row]))
            if hasattr(step, "slot"):
                probs = F.softmax(logits[row, position, allowed], dim=0)
                wanted[step.slot.au] *= float(probs[allowed.index(ids[row][position])])
        np.testing.assert_allclose(answer.slot_probs, list(wanted.values()), rtol=1e-4)


def test_one_picture_can_be_asked_in_another_format(model: FaceLanguageModel, collator: Collator) -> None:
    samples = faces(3, "AU1 AU4", Scale.PRESENCE)
    for scale in Scale:
        answers = answer_samples(model, collator, samples, scale)
        assert {answer.scale for answer in answers} == {scale}
        assert all(scale.allows(float(value)) for answer in answers for value in answer.values)


def test_uncoded_faces_can_be_asked_about(model: FaceLanguageModel, collator: Collator) -> None:
    (sample,) = faces(1, "AU1 AU4", Scale.PRESENCE)
    sample.labels[:] = UNKNOWN
    with pytest.raises(NoSupervisionError, match=sample.sample_id):
        answer_samples(model, collator, [sample])
    (answer,) = answer_samples(model, collator, [sample], ask_unknown=True)
    assert answer.aus == ("AU1", "AU4")
    assert set(answer.values.tolist()) <= {0.0, 1.0}


def test_free_answers_that_cannot_be_read_are_unknown(model: FaceLanguageModel, collator: Collator) -> None:
    """A random model writes anything; scored as "all absent", it would be right most of the time."""
    for scale in Scale:
        for answer in answer_samples(model, collator, faces(3, "AU1 AU4", scale), free=True):
            assert not answer.valid
            assert answer.text != ""
            np.testing.assert_array_equal(answer.values, [UNKNOWN, UNKNOWN])
            assert np.isnan(answer.slot_probs).all()


def test_a_model_that_has_learned_answers_freely_as_it_was_taught(
    backbone: Backbone, collator: Collator
) -> None:
    torch.manual_seed(0)
    model = build_model(backbone)
    samples = [*faces(2, "AU1 AU4", Scale.PRESENCE), *faces(2, "AU4 AU9", Scale.INTENSITY)]
    taught: tuple[list[float], ...] = ([0, 1], [1, 0], [0.25, 1.0], [0.0, 0.9])
    for sample, labels in zip(samples, taught, strict=True):
        sample.labels[:] = labels
    batch = collator(samples)
    optimiser = torch.optim.AdamW([t for t in model.parameters() if t.requires_grad], lr=2e-2)
    model.train()
    for _ in range(150):
        loss = run(model, batch).loss
        assert loss is not None
        torch.autograd.backward(loss)
        optimiser.step()
        optimiser.zero_grad()
    for free in (True, False):
        for sample, answer in zip(samples, answer_samples(model, collator, samples, free=free), strict=True):
            assert answer.valid
            np.testing.assert_array_equal(answer.values, sample.labels)


class Dictated(torch.nn.Module):
    """Writes what it is told, row by row, in place of a language model."""

    def __init__(self, rows: list[list[int]], vocabulary: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.logits = F.one_hot(torch.tensor(rows), vocabulary).float()
        self.written = 0

    def prefill(self, *_: torch.Tensor, room: int) -> tuple[torch.Tensor, None]:
        self.written = 0
        return self.logits[:, 0], None

    def advance(self, token_ids: torch.Tensor, _: None) -> torch.Tensor:
        self.written += token_ids.shape[1]
        return self.logits[:, self.written]


def test_free_answers_are_read_to_the_letter(collator: Collator) -> None:
    """Right; cut off before its end; with a special token that a lenient decoder would drop."""
    samples = faces(3, "AU1 AU4", Scale.PRESENCE)
    tokenizer = collator.tokenizer
    grammar = collator.prompt(("AU1", "AU4"), Scale.PRESENCE).grammar
    right = list(grammar.encode([1, 0]))
    bos, pad = tokenizer.bos_token_id, tokenizer.pad_token_id
    assert bos is not None
    assert pad is not None
    endless = [*right[:-1], pad]
    special = [bos, *right[:-2], right[-1]]
    model = cast(FaceLanguageModel, Dictated([right, endless, special], 1000))
    answers = answer_samples(model, collator, samples, free=True)
    assert [answer.valid for answer in answers] == [True, False, False]
    assert [answer.text for answer in answers] == [
        "AU1: 1, AU4: 0",
        "AU1: 1, AU4: 0<pad>",
        "<s>AU1: 1, AU4: ",
    ]
    np.testing.assert_array_equal(answers[0].values, [1, 0])
    np.testing.assert_array_equal([answer.values for answer in answers[1:]], [[UNKNOWN, UNKNOWN]] * 2)
