"""Frozen weights held in half precision: the same products, less memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from aullava.models.half import hold_in_half
from aullava.models.vlm import FaceLanguageModel
from aullava.training import module as training
from datamodules.action_units import Scale
from tests.checkpoints import Backbone, build_collator, build_model, faces, run, trained
from tests.training.learning import PRESENCE, batch_of, loader, module_of, trainer_of


def _learned(model: FaceLanguageModel, batch: Any) -> tuple[torch.Tensor, ...]:
    """Loss and gradients under mixed precision."""
    with torch.autocast("cpu", torch.bfloat16):
        loss = run(model, batch).loss
    assert loss is not None
    return loss, *torch.autograd.grad(loss, [one for one in model.parameters() if one.requires_grad])


def test_losses_and_gradients_stay_the_same_to_the_last_bit(backbone: Backbone) -> None:
    batch = build_collator(backbone)(faces(3, "AU1 AU2 AU12", Scale.INTENSITY))
    torch.manual_seed(1)
    model = trained(build_model(backbone)).train()
    before, size = _learned(model, batch), sum(one.nbytes for one in model.parameters())
    hold_in_half(model, torch.bfloat16)
    after = _learned(model, batch)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert sum(one.nbytes for one in model.parameters()) < 0.8 * size


def test_only_frozen_linear_layers_change(backbone: Backbone) -> None:
    model = build_model(backbone)
    hold_in_half(model, torch.bfloat16)
    for name, part in model.named_modules():
        for parameter in part.parameters(recurse=False):
            frozen = isinstance(part, nn.Linear) and not parameter.requires_grad
            assert parameter.dtype == (torch.bfloat16 if frozen else torch.float32), name


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_fit_holds_them_as_its_precision_says(precision: Any, backbone: Backbone) -> None:
    module = module_of(backbone, 1)
    trainer = trainer_of(1, precision=precision)
    trainer.fit(module, loader([batch_of(module, PRESENCE)]))
    wanted = training.HALVES.get(precision, torch.float32)
    assert {one.weight.dtype for one in module.model.vision.modules() if isinstance(one, nn.Linear)} == {wanted}
