"""What rows of a batch have in common is read once, and nothing but the cost changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    GPT2Config,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
)

from aullava.models.llm import checkpoint_activations
from aullava.models.shared_prefix import common_length, may_fold
from aullava.models.vlm import FaceLanguageModel
from aullava.text.batch import UNSUPERVISED, AUBatch
from aullava.text.question import Order
from datamodules.action_units import Scale
from tests.checkpoints import Backbone, build_collator, build_model, faces, run, trained


@pytest.fixture(scope="module")
def one_question(backbone: Backbone) -> AUBatch:
    return build_collator(backbone)(faces(4, "AU1 AU2 AU12", Scale.INTENSITY))


def tokens_read(model: FaceLanguageModel, batch: AUBatch) -> int:
    """How many tokens pass the first layer in a forward pass with labels."""
    model.folds()  # asks the language model once
    counted: list[int] = []
    layer = next(module for name, module in model.llm.named_modules() if name.endswith("layers.0"))
    hook = layer.register_forward_pre_hook(lambda _, inputs: counted.append(inputs[0].shape[:2].numel()))
    run(model, batch)
    hook.remove()
    return sum(counted)


@pytest.mark.parametrize("training", [False, True])
def test_loss_and_gradients_are_those_of_every_row_in_full(
    backbone: Backbone, one_question: AUBatch, training: bool
) -> None:
    batch, model = one_question, trained(build_model(backbone)).train(training)
    weights = [tensor for tensor in model.parameters() if tensor.requires_grad]
    loss = run(model, batch).loss
    assert loss is not None
    ours = torch.autograd.grad(loss, weights)
    full = model(batch.pixel_values, batch.input_ids, batch.image_mask, batch.attention_mask).logits
    naive = F.cross_entropy(full[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=-100)
    torch.testing.assert_close(loss, naive, rtol=0, atol=1e-5)
    for mine, wanted in zip(ours, torch.autograd.grad(naive, weights), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-6)


def test_the_beginning_is_read_once(backbone: Backbone, one_question: AUBatch) -> None:
    model = build_model(backbone)
    rows, length = one_question.input_ids[:, :-1].shape  # nothing follows the end of an answer
    begun = int(one_question.image_mask[0].int().argmax())
    assert begun > 20
    assert tokens_read(model, one_question) == begun + rows * (length - begun)


def test_different_questions_are_read_in_full(backbone: Backbone) -> None:
    samples = [*faces(1, "AU1 AU2", Scale.PRESENCE), *faces(1, "AU12", Scale.LEVEL)]
    batch = build_collator(backbone)(samples)
    model = build_model(backbone)
    common = common_length(batch.input_ids, batch.image_mask, torch.zeros(2, dtype=torch.int64))
    assert tokens_read(model, batch) == batch.input_ids[:, :-1].numel() - (common if common >= 8 else 0)


def in_all_formats(count: int) -> list[Any]:
    """Faces, each asked about in three formats one after the other."""
    return [
        replace(face, labels=face.labels if scale is Scale.INTENSITY else face.labels.round(), scale=scale)
        for face in faces(count, "AU1 AU2 AU12", Scale.INTENSITY)
        for scale in Scale
    ]


@pytest.mark.parametrize("order", list(Order))
def test_questions_about_one_picture_share_it_at_no_change(backbone: Backbone, order: Order) -> None:
    """Three formats of every face against the same questions asked one by one, gradients included."""
    model, collate = trained(build_model(backbone)).train(), build_collator(backbone, order=order)
    samples = in_all_formats(3)
    weights = [tensor for tensor in model.parameters() if tensor.requires_grad]
    together = collate(samples)
    assert len(together.pixel_values) == 3
    assert together.pictures.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    loss = run(model, together).loss
    assert loss is not None
    ours = torch.autograd.grad(loss, weights)
    alone = [collate([sample]) for sample in samples]
    counts = [int((batch.labels != UNSUPERVISED).sum()) for batch in alone]
    losses = torch.stack([one for batch in alone if (one := run(model, batch).loss) is not None])
    one_by_one = (losses * torch.tensor(counts)).sum() / sum(counts)
    torch.testing.assert_close(loss, one_by_one, rtol=0, atol=1e-5)
    for mine, wanted in zip(ours, torch.autograd.grad(one_by_one, weights), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-6)


def test_a_picture_is_encoded_and_read_once_for_all_its_questions(backbone: Backbone) -> None:
    model, batch = build_model(backbone), build_collator(backbone)(in_all_formats(4))
    ends = batch.attention_mask.sum(1) - 1
    image = batch.image_mask[0].nonzero()
    before, through = int(image[0]), int(image[-1]) + 1
    # The expected output begins with the same words in all formats, which are read once too.
    shared = common_length(batch.input_ids, batch.labels != UNSUPERVISED, batch.pictures)
    assert shared >= through
    rest = int((ends - shared).sum())  # of every question its own, and no padding
    assert len(set(ends.tolist())) == 2  # though intensities are longer
    assert tokens_read(model, batch) == before + 4 * (shared - before) + rest
    model.reads_once = False  # as with shared out weights: one pass for everything
    assert tokens_read(model, batch) == 4 * shared + rest


def test_pictures_with_different_numbers_of_questions_are_right_too(backbone: Backbone) -> None:
    model, collate = trained(build_model(backbone)), build_collator(backbone)
    samples = in_all_formats(2)[:-1]
    full = run(model, collate([replace(sample, image=sample.image.copy()) for sample in samples])).loss
    batch = collate(samples)
    assert len(batch.pixel_values) == 2
    torch.testing.assert_close(run(model, batch).loss, full, rtol=0, atol=1e-5)


def test_rows_in_any_order_are_right_too(backbone: Backbone) -> None:
    model, batch = trained(build_model(backbone)), build_collator(backbone)(in_all_formats(2))
    wanted = run(model, batch).loss
    order = torch.tensor([0, 3, 1, 4, 2, 5])
    ids, places, mask, labels, pictures = (
        one[order]
        for one in (batch.input_ids, batch.image_mask, batch.attention_mask, batch.labels, batch.pictures)
    )
    mixed = model(batch.pixel_values, ids, places, mask, labels, pictures).loss
    torch.testing.assert_close(mixed, wanted, rtol=0, atol=1e-5)


def test_recomputed_activations_take_one_pass_and_change_nothing(backbone: Backbone) -> None:
    model, batch = build_model(backbone, targets=()), build_collator(backbone)(in_all_formats(2))
    loss = run(model, batch).loss
    weights = list(model.projector.parameters())
    assert loss is not None
    wanted = torch.autograd.grad(loss, weights)
    model.train()
    assert isinstance(model.llm, PreTrainedModel)
    checkpoint_activations(model.llm)
    shared = common_length(batch.input_ids, batch.labels != UNSUPERVISED, batch.pictures)
    assert tokens_read(model, batch) == 2 * shared + int((batch.attention_mask.sum(1) - 1 - shared).sum())
    again = run(model, batch).loss
    assert again is not None
    torch.testing.assert_close(again, loss, rtol=0, atol=1e-5)
    for mine, other in zip(torch.autograd.grad(again, weights), wanted, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_the_plain_attention_reads_the_same(backbone: Backbone) -> None:
    model, batch = trained(build_model(backbone)), build_collator(backbone)(in_all_formats(2))
    fused = run(model, batch).loss
    assert fused is not None
    model.llm.config._attn_implementation = "eager"
    assert may_fold(model.llm)
    torch.testing.assert_close(run(model, batch).loss, fused, rtol=0, atol=1e-5)


@pytest.mark.parametrize("reads_once", [True, False])
@pytest.mark.parametrize("independent", [False, True])
def test_flex_attention_reads_the_same(backbone: Backbone, independent: bool, reads_once: bool) -> None:
    """Forward only, which is all that PyTorch has on a CPU; not compiled, in float64."""
    model = trained(build_model(backbone)).double()
    model.reads_once = reads_once
    batch = build_collator(backbone, independent=independent)(in_all_formats(3)[:-1])
    wanted = run(model, batch)
    model.llm.config._attn_implementation = "flex_attention"
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        assert may_fold(model.llm)
        found = run(model, batch)
    assert found.losses is not None
    torch.testing.assert_close(found.losses, wanted.losses, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.logits, wanted.logits.detach(), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("window", "folds"), [(None, True), (64, False)])
def test_a_model_that_sees_only_a_window_reads_row_by_row(window: int | None, folds: bool) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 64}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.3}
    config = MistralConfig(**sizes, **heads, sliding_window=window)  # type: ignore[arg-type]
    assert may_fold(MistralForCausalLM(config)) == folds


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("positions that are learned", GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=64)),
        ("distances instead", BloomConfig(hidden_size=32, n_layer=2, n_head=4, vocab_size=64)),
    ],
)
def test_the_language_model_is_asked_whether_it_keeps_questions_apart(kind: str, config: Any) -> None:
    config.initializer_range = 0.3
    auto: Any = AutoModelForCausalLM  # its from_config carries no types
    assert may_fold(auto.from_config(config)) == ("positions" in kind)


def test_the_common_length_ends_at_the_first_difference() -> None:
    ids = torch.tensor([[1, 2, 3, 4, 5], [1, 2, 3, 9, 5], [1, 7, 3, 9, 5], [1, 7, 3, 9, 5]])
    no, end = torch.zeros(4, 5, dtype=torch.bool), torch.zeros(4, 5, dtype=torch.bool)
    end[:, 2] = True
    one_group, two_groups, apart = torch.zeros(4, dtype=torch.int64), [0, 0, 1, 1], torch.arange(4)
    assert common_length(ids, no, one_group) == 1
    assert common_length(ids, no, torch.tensor(two_groups)) == 3
    assert common_length(ids, end, torch.tensor(two_groups)) == 2
    assert common_length(ids, no, apart) == 5
