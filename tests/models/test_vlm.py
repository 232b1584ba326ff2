from __future__ import annotations

import hashlib
import logging

import pytest
import torch
import torch.nn.functional as F

from aullava.models.errors import ModelError
from aullava.models.vlm import FaceLanguageModel
from aullava.text.batch import AUBatch
from datamodules.action_units import Scale
from tests.checkpoints import (
    IMAGE_TOKENS,
    LAYERS,
    TARGETS,
    WIDTH,
    Backbone,
    build_collator,
    build_model,
    faces,
    run,
    trained,
)


@pytest.fixture(scope="module")
def batch(backbone: Backbone) -> AUBatch:
    samples = [*faces(2, "AU1 AU2", Scale.PRESENCE), *faces(2, "AU12 AU4 AU9", Scale.INTENSITY)]
    return build_collator(backbone)(samples)


def frozen_checksum(model: FaceLanguageModel) -> str:
    digest = hashlib.sha256()
    for name, tensor in model.named_parameters():
        if not tensor.requires_grad:
            digest.update(name.encode() + tensor.detach().numpy().tobytes())
    return digest.hexdigest()


def test_the_loss_is_the_full_cross_entropy(backbone: Backbone, batch: AUBatch) -> None:
    model = trained(build_model(backbone))
    output = run(model, batch)
    full = model(batch.pixel_values, batch.input_ids, batch.image_mask, batch.attention_mask).logits
    naive = F.cross_entropy(full[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=-100)
    torch.testing.assert_close(output.loss, naive, rtol=0, atol=1e-5)
    supervised = batch.labels[:, 1:] != -100
    assert output.logits.shape == (int(supervised.sum()), full.shape[-1])
    torch.testing.assert_close(output.logits, full[:, :-1][supervised], rtol=0, atol=1e-5)


def test_gradients_are_those_of_the_full_cross_entropy(backbone: Backbone, batch: AUBatch) -> None:
    model = trained(build_model(backbone))
    weights = [tensor for tensor in model.parameters() if tensor.requires_grad]
    loss = run(model, batch).loss
    assert loss is not None
    ours = torch.autograd.grad(loss, weights)
    full = model(batch.pixel_values, batch.input_ids, batch.image_mask, batch.attention_mask).logits
    naive = F.cross_entropy(full[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=-100)
    for mine, wanted in zip(ours, torch.autograd.grad(naive, weights), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_one_step_moves_all_that_is_trained_and_nothing_else(
    backbone: Backbone, batch: AUBatch, kind: str
) -> None:
    model = build_model(backbone, kind, layers=-2)
    model.train()
    before, checksum = {n: t.clone() for n, t in model.trainable_state_dict().items()}, frozen_checksum(model)
    optimiser = torch.optim.AdamW([t for t in model.parameters() if t.requires_grad], lr=1e-2)
    loss = run(model, batch).loss
    assert loss is not None
    torch.autograd.backward(loss)
    learning = {n: t.grad for n, t in model.named_parameters() if "lora_B" in n or n.startswith("projector")}
    assert len(learning) == LAYERS * len(TARGETS) + (2 if kind == "linear" else 4)
    assert [name for name, gradient in learning.items() if gradient is None or not gradient.any()] == []
    assert all(t.grad is None for t in model.parameters() if not t.requires_grad)
    optimiser.step()
    after = model.trainable_state_dict()
    assert [name for name in learning if torch.equal(after[name], before[name])] == []
    assert frozen_checksum(model) == checksum
    assert (model.training, model.llm.training, model.vision.training) == (True, True, False)


def test_lora_is_on_the_language_model_only(backbone: Backbone) -> None:
    model = build_model(backbone)
    adapted = {name.split(".")[0] for name, _ in model.named_parameters() if "lora_" in name}
    assert adapted == {"llm"}
    assert {name.split(".")[0] for name in model.trainable_state_dict()} == {"llm", "projector"}


def test_image_tokens_stand_in_their_places(backbone: Backbone, batch: AUBatch) -> None:
    model = build_model(backbone)
    tokens = model.encode_images(batch.pixel_values)
    embeddings = model.embed(tokens, batch.input_ids, batch.image_mask)
    assert tokens.shape == (4, IMAGE_TOKENS, WIDTH)
    assert torch.equal(embeddings[batch.image_mask].view_as(tokens), tokens)
    words = model.llm.get_input_embeddings()(batch.input_ids)
    assert torch.equal(embeddings[~batch.image_mask], words[~batch.image_mask])


def test_every_row_sees_its_own_picture_only(backbone: Backbone, batch: AUBatch) -> None:
    model = build_model(backbone)
    pixels = batch.pixel_values.clone()
    pixels[1] = -pixels[1]
    changed = model(pixels, batch.input_ids, batch.image_mask, batch.attention_mask).logits
    before = model(batch.pixel_values, batch.input_ids, batch.image_mask, batch.attention_mask).logits
    last = batch.attention_mask.sum(dim=1) - 1
    rows = torch.arange(4)
    difference = (changed - before)[rows, last].abs().amax(dim=1)
    assert difference[1] > 0.1
    assert difference[[0, 2, 3]].max() < 1e-5


def test_rows_with_another_number_of_places_are_refused(backbone: Backbone, batch: AUBatch) -> None:
    places = batch.image_mask.clone()
    first = int(places[0].int().argmax())
    places[0, first] = False
    places[1, -1] = True  # the sum is right, the rows are not
    model = build_model(backbone)
    with pytest.raises(
        ModelError, match=r"every row needs 16 image places, but the rows have \[15, 17, 16, 16\]"
    ):
        model.embed(model.encode_images(batch.pixel_values), batch.input_ids, places)


def test_half_precision_backbones_train_fp32_weights(backbone: Backbone, batch: AUBatch) -> None:
    model = build_model(backbone, dtype=torch.bfloat16)
    loss = run(model, batch).loss
    assert loss is not None
    assert loss.dtype is torch.float32
    torch.autograd.backward(loss)
    trainable = [tensor for tensor in model.parameters() if tensor.requires_grad]
    assert {tensor.dtype for tensor in trainable} == {torch.float32}
    assert {t.grad.dtype for t in trainable if t.grad is not None} == {torch.float32}
    fp32 = run(build_model(backbone), batch).loss
    assert fp32 is not None


def test_the_report_counts_every_parameter_once(backbone: Backbone, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "aullava.models.vlm"):
        model = build_model(backbone)
    report = model.parameter_report()
    sizes = {
        part: sum(t.numel() for t in getattr(model, part).parameters()) for part in ("vision", "projector")
    }
    assert report["vision"] == {"total": sizes["vision"], "trainable": 0, "frozen": sizes["vision"]}
    assert report["projector"]["trainable"] == sizes["projector"] == WIDTH * WIDTH + WIDTH
    assert report["all"]["trainable"] == sum(t.numel() for t in model.trainable_state_dict().values())
    for kind, number in report["all"].items():
        assert number == sum(report[part][kind] for part in ("vision", "projector", "llm"))
    assert f"all: {report['all']['total']} parameters, {report['all']['trainable']} trainable" in caplog.text


def test_the_context_is_that_of_the_language_model(backbone: Backbone) -> None:
    assert build_model(backbone).context_length == 1024
    assert build_model(backbone, targets=()).context_length == 1024
