"""Independent answers: one masked pass says what each Action Unit, asked alone, says value by value."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from aullava.decoding.alone import Alone
from aullava.decoding.branches import VALUES, grid
from aullava.decoding.parallel import Parallel
from aullava.models.errors import ModelError
from aullava.models.key_values import KeyValues
from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator
from datamodules.action_units import Scale
from tests.checkpoints import Backbone, build_collator, build_model, faces, trained
from tests.decoding.test_one_pass import AUS, same
from tests.text.helpers import Face

CODES = tuple(AUS.split())


@pytest.fixture(scope="module")
def asking(backbone: Backbone) -> Collator:
    return build_collator(backbone, independent=True)


@pytest.mark.parametrize("scale", list(Scale))
def test_answers_are_those_of_every_action_unit_asked_alone(
    model: FaceLanguageModel, asking: Collator, scale: Scale
) -> None:
    prompts = asking.prompts(faces(8, AUS, scale))
    wanted = Alone(model, asking).answers(prompts)
    decoder = Parallel(model, asking)
    answers = decoder.answers(prompts)
    same(answers, wanted)
    assert [one.certified for one in answers] == [one.certified for one in wanted]
    assert len({answer.text for answer in wanted}) > 1
    assert decoder.counts.passes_per_row == 1
    assert {one.certified for one in Parallel(model, asking, certify=False).answers(prompts)} == {None}


def forced(model: FaceLanguageModel, asking: Collator, sample: Face, au: str, value: float) -> float:
    """The probability of one value by a plain causal pass over question and answer, nothing shared."""
    batch = asking.prompts([sample])
    branch = asking.prompt(CODES, sample.scale).branches[CODES.index(au)]
    ids = branch.encode([value])[:-1]
    whole = torch.cat([batch.input_ids, torch.tensor([ids])], 1)
    image = torch.nn.functional.pad(batch.image_mask, (0, len(ids)))
    logits = model(batch.pixel_values, whole, image, torch.ones_like(whole)).logits[0]
    product, begun = 1.0, batch.input_ids.shape[1]
    for position, token in enumerate(ids):
        allowed = list(branch.allowed_ids(position, ids))
        scores = logits[begun + position - 1, allowed].log_softmax(0)
        product *= float(scores[allowed.index(token)].exp())
    return product


@pytest.mark.parametrize("scale", list(Scale))
def test_every_value_has_its_exact_probability(
    model: FaceLanguageModel, asking: Collator, scale: Scale
) -> None:
    (sample,) = faces(1, AUS, scale)
    decoder = Parallel(model, asking)
    found = decoder.distributions(decoder.see([sample.image]), CODES, scale)[0]
    assert found.shape == (4, VALUES[scale])
    torch.testing.assert_close(found.sum(1), torch.ones(4), rtol=0, atol=1e-5)
    with torch.no_grad():
        for au in ("AU1", "AU9"):
            wanted = [forced(model, asking, sample, au, float(value)) for value in grid(scale)]
            np.testing.assert_allclose(found[CODES.index(au)], wanted, rtol=0, atol=1e-5)
    (answer,) = decoder.answers(asking.prompts([sample]))
    mean = found @ torch.from_numpy(grid(scale))
    np.testing.assert_allclose(answer.expected, mean, rtol=0, atol=1e-6)


def test_the_rest_of_the_batch_changes_nothing(model: FaceLanguageModel, asking: Collator) -> None:
    kinds = [faces(3, AUS, scale) for scale in Scale]
    samples = [sample for trio in zip(*kinds, strict=True) for sample in trio]
    together = Parallel(model, asking).answers(asking.prompts(samples))
    alone = Parallel(model, asking, share=False)
    same([alone.answers(asking.prompts([sample]))[0] for sample in samples], together)
    backwards = Parallel(model, asking).answers(asking.prompts(samples[::-1]))
    same(backwards[::-1], together)


@pytest.mark.parametrize("scale", list(Scale))
def test_half_precision_stays_close(backbone: Backbone, asking: Collator, scale: Scale) -> None:
    """Alone and in a batch, in bf16: the probabilities of fp32 roughly, on random weights."""
    samples = faces(6, AUS, scale)
    torch.manual_seed(3)
    model = trained(build_model(backbone))
    decoder = Parallel(model, asking)
    images = [sample.image for sample in samples]
    wanted = decoder.distributions(decoder.see(images), CODES, scale)
    half = Parallel(model.bfloat16(), asking)
    together = half.distributions(half.see(images), CODES, scale)
    alone = torch.cat([half.distributions(half.see([one]), CODES, scale) for one in images])
    for found in (together, alone):
        assert found.dtype is torch.float32
        torch.testing.assert_close(found, wanted, rtol=0, atol=0.1)
        assert not torch.equal(found, wanted)
    answers = half.answers(asking.prompts(samples))
    mean = wanted @ torch.from_numpy(grid(scale))
    np.testing.assert_allclose([one.expected for one in answers], mean, rtol=0, atol=0.1 * scale.top)


def test_what_all_images_share_is_read_once_for_all_formats(
    model: FaceLanguageModel, asking: Collator, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    beginning = model.read_beginning

    def counting(ids: Tensor) -> KeyValues:
        read.append(len(ids))
        return beginning(ids)

    monkeypatch.setattr(model, "read_beginning", counting)
    decoder = Parallel(model, asking)
    for scale in Scale:
        decoder.answers(asking.prompts(faces(2, AUS, scale)))
    assert read == [asking.prompt(CODES, Scale.LEVEL).image.index(True)]


def test_an_answer_does_not_see_the_others(model: FaceLanguageModel, asking: Collator) -> None:
    """The branch of one Action Unit behind the same question, with other branches before it or none."""
    table = Parallel(model, asking)._table(CODES, Scale.LEVEL)
    question = asking.prompt(CODES, Scale.LEVEL)
    features = Parallel(model, asking).see([faces(1, AUS, Scale.LEVEL)[0].image])

    def last(ids: Tensor, paths: Tensor | None) -> Tensor:
        state = KeyValues.empty(2, len(question.ids) + len(ids))
        places = torch.tensor(question.image)
        prompt = torch.tensor(question.ids)
        return model.read_questions(features, prompt, places, ids[None], state, paths)[:, -1]

    mine = (table.paths[:, 0] == 4) | (table.paths[:, 0] == 0)  # what all begin with belongs to each
    assert 1 < int(mine.sum()) < len(mine)
    together = last(table.ids, table.paths)
    torch.testing.assert_close(together, last(table.ids[mine], None), rtol=0, atol=1e-5)
    others = table.ids.where(mine, table.ids.flip(0))
    torch.testing.assert_close(together, last(others, table.paths), rtol=0, atol=1e-5)
    assert not torch.allclose(together, last(table.ids, None), atol=1e-2)


def test_flex_attention_keeps_answers_apart(model: FaceLanguageModel, asking: Collator) -> None:
    prompts = asking.prompts(faces(2, AUS, Scale.LEVEL))
    wanted = Parallel(model, asking).answers(prompts)
    model.llm.config._attn_implementation, before = "flex_attention", model.llm.config._attn_implementation
    try:
        with torch.compiler.set_stance("force_eager"):
            model.check_branches()
            found = Parallel(model, asking).answers(prompts)
    finally:
        model.llm.config._attn_implementation = before
    same(found, wanted)


def test_attention_that_mixes_branches_is_refused(
    model: FaceLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.check_branches()
    monkeypatch.setattr("aullava.models.tree.additive", lambda sight, dtype: sight)  # booleans
    model.llm.config._attn_implementation, before = "eager", model.llm.config._attn_implementation
    try:
        with pytest.raises(ModelError, match=r"answer\.independent=false"):
            model.check_branches()
    finally:
        model.llm.config._attn_implementation = before
