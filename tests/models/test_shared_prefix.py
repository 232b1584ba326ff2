"""The beginning that all rows of a batch have in common is read once, and nothing but the cost changes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from aullava.models.llm import checkpoint_activations
from aullava.models.shared_prefix import common_length
from aullava.models.vlm import FaceLanguageModel
from aullava.text.batch import AUBatch
from datamodules.action_units import Scale
from tests.checkpoints import Backbone, build_collator, build_model, faces, run, trained


@pytest.fixture(scope="module")
def one_question(backbone: Backbone) -> AUBatch:
    return build_collator(backbone)(faces(4, "AU1 AU2 AU12", Scale.INTENSITY))


def tokens_read(model: FaceLanguageModel, batch: AUBatch) -> int:
    """How many tokens pass the first layer in a forward pass with labels."""
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
    rows, length = one_question.input_ids.shape
    begun = int(one_question.image_mask[0].int().argmax())
    assert begun > 20
    assert tokens_read(model, one_question) == begun + rows * (length - begun)


def test_different_questions_are_read_in_full(backbone: Backbone) -> None:
    samples = [*faces(1, "AU1 AU2", Scale.PRESENCE), *faces(1, "AU12", Scale.LEVEL)]
    batch = build_collator(backbone)(samples)
    model = build_model(backbone)
    common = common_length(batch.input_ids, batch.image_mask)
    assert tokens_read(model, batch) == batch.input_ids.numel() - (common if common >= 8 else 0)


def test_recomputing_activations_reads_every_row_in_full(backbone: Backbone, one_question: AUBatch) -> None:
    model = build_model(backbone, targets=()).train()
    assert isinstance(model.llm, PreTrainedModel)
    checkpoint_activations(model.llm)
    assert tokens_read(model, one_question) == one_question.input_ids.numel()


def test_the_common_length_ends_at_the_first_difference_or_image() -> None:
    ids = torch.tensor([[1, 2, 3, 4, 5], [1, 2, 3, 9, 5]])
    no, image = torch.zeros(2, 5, dtype=torch.bool), torch.zeros(2, 5, dtype=torch.bool)
    image[:, 2] = True
    assert common_length(ids, no) == 3
    assert common_length(ids, image) == 2
    assert common_length(ids[:1].repeat(2, 1), no) == 5
