"""Independent answers in one row are learned as if every Action Unit were asked alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import create_mask
from transformers import PreTrainedModel

from aullava.models.llm import checkpoint_activations
from aullava.models.tree import additive, block_mask, places, seen
from aullava.models.vlm import FaceLanguageModel
from aullava.text.batch import UNSUPERVISED
from aullava.text.collate import Collator
from aullava.text.question import Order
from aullava.text.tokens import SlotToken
from datamodules.action_units import UNKNOWN, Scale
from tests.checkpoints import Backbone, build_collator, build_model, faces, run, trained
from tests.text.helpers import Face

AUS = "AU1 AU2 AU12"


def asked_in_all_formats(count: int) -> list[Any]:
    """Faces in three formats one after the other; some Action Units were not coded."""
    found = []
    for number, face in enumerate(faces(count, AUS, Scale.INTENSITY)):
        labels = face.labels.copy()
        labels[number % 3] = UNKNOWN
        for scale in Scale:
            values = labels if scale is Scale.INTENSITY else labels.round()
            found.append(replace(face, labels=values, scale=scale))
    return found


def alone(model: FaceLanguageModel, collate: Collator, samples: list[Face]) -> Tensor:
    """Losses of all decisions, each Action Unit's answer behind the question in a causal row of its own."""
    losses = []
    for sample in samples:
        known = [au for au, label in zip(sample.aus, sample.labels, strict=True) if label != UNKNOWN]
        question = collate.prompt(tuple(known), sample.scale)
        for au, branch in zip(known, question.branches, strict=True):
            answer = branch.encode([sample.labels[sample.aus.index(au)]])[:-1]
            decided = [step.position for step in branch.steps if isinstance(step, SlotToken)]
            ids = torch.tensor([question.ids + answer])
            image = F.pad(torch.tensor([question.image]), (0, len(answer)))
            pixels = collate.preprocess([sample.image])
            logits = model(pixels, ids, image, torch.ones_like(ids)).logits[0]
            for position in decided:
                place = len(question.ids) + position
                losses.append(F.cross_entropy(logits[place - 1], ids[0, place]))
    return torch.stack(losses)


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("reads_once", [True, False])
def test_loss_and_gradients_are_those_of_every_action_unit_asked_alone(
    backbone: Backbone, order: Order, reads_once: bool
) -> None:
    model = trained(build_model(backbone)).train()
    model.reads_once = reads_once
    collate = build_collator(backbone, order=order, independent=True)
    samples = asked_in_all_formats(3)
    weights = [tensor for tensor in model.parameters() if tensor.requires_grad]
    wanted = alone(model, collate, samples)
    output = run(model, collate(samples))
    assert output.loss is not None
    assert output.losses is not None
    torch.testing.assert_close(output.losses, wanted, rtol=0, atol=1e-5)
    torch.testing.assert_close(output.loss, wanted.mean(), rtol=0, atol=1e-5)
    ours = torch.autograd.grad(output.loss, weights)
    for mine, theirs in zip(ours, torch.autograd.grad(wanted.mean(), weights), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("way", ["eager", "recomputed", "one_question"])
def test_other_ways_through_the_layers_give_the_same_loss(backbone: Backbone, way: str) -> None:
    model, collate = build_model(backbone, targets=()).train(), build_collator(backbone, independent=True)
    samples = asked_in_all_formats(2)
    samples = samples[::3] if way == "one_question" else samples
    wanted = alone(model, collate, samples).mean()
    assert isinstance(model.llm, PreTrainedModel)
    if way == "eager":
        model.llm.set_attn_implementation("eager")
    if way == "recomputed":
        checkpoint_activations(model.llm)
    loss = run(model, collate(samples)).loss
    assert loss is not None
    torch.testing.assert_close(loss, wanted, rtol=0, atol=1e-5)


def test_only_decisions_are_learned_and_unknown_labels_are_left_out(backbone: Backbone) -> None:
    collate = build_collator(backbone, independent=True)
    batch = collate(asked_in_all_formats(1))
    assert batch.branches is not None
    assert batch.asked == (("AU2", "AU12"),) * 3
    assert batch.branches.max(1).values.tolist() == [2, 2, 2]
    learned = batch.labels != UNSUPERVISED
    # A digit of presence, a level, three of an intensity, for two of three Action Units each.
    assert learned.sum(1).tolist() == [2, 2, 6]
    assert (batch.branches[learned] > 0).all()
    padding = batch.attention_mask == 0
    assert bool(padding.any())
    assert torch.equal(batch.branches == -1, padding)


def test_a_token_sees_what_stands_before_it_on_its_own_path() -> None:
    #                      trunk   first branch    a leaf of it     second  padding
    paths = torch.tensor([[0, 0], [1, 0], [1, 1], [1, 2], [2, 0], [-1, 0]])
    wanted = torch.tensor(
        [
            [1, 0, 0, 0, 0, 0],
            [1, 1, 0, 0, 0, 0],
            [1, 1, 1, 0, 0, 0],
            [1, 1, 0, 1, 0, 0],
            [1, 0, 0, 0, 1, 0],
            [1, 0, 0, 0, 0, 1],
        ]
    )
    sight = seen(paths)
    assert torch.equal(sight, wanted.bool())
    assert places(sight).tolist() == [0, 1, 2, 2, 1, 1]
    mask = additive(sight, torch.bfloat16)
    assert mask.dtype == torch.bfloat16
    np.testing.assert_array_equal(mask.float().exp().numpy(), wanted.numpy())


@pytest.mark.parametrize("start", [0, 3])
def test_blocks_are_those_of_what_is_seen(start: int) -> None:
    """Of 300 tokens, three blocks long; a branch that lies in a block of its own is skipped by the others."""
    forks = torch.arange(300) // 100
    paths = torch.stack([torch.stack([forks, other], -1) for other in (forks * 0, torch.arange(300) % 7)])
    blocks = block_mask(paths, start)
    assert blocks.shape == (2, 1, 300 - start, 300)
    dense = create_mask(blocks.mask_mod, 2, 1, 300 - start, 300, device="cpu")
    assert torch.equal(dense[:, 0], seen(paths)[:, start:])
    far = block_mask(torch.arange(384)[None, :, None] // 128)
    assert far.to_dense()[0, 0].tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
