"""Frozen weights are converted once under mixed precision: the same products to the last bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from aullava.models.half import drop_halves, keep_halves
from aullava.models.vlm import FaceLanguageModel
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
    model = trained(build_model(backbone)).train()
    before, exact = _learned(model, batch), run(model, batch).loss
    keep_halves(model, torch.bfloat16)
    after = _learned(model, batch)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    again = run(model, batch).loss  # without autocast the weights themselves are used
    assert exact is not None
    assert again is not None
    assert torch.equal(again, exact)
    drop_halves(model)
    assert torch.equal(_learned(model, batch)[0], before[0])


def test_weights_that_change_are_converted_again(backbone: Backbone) -> None:
    batch = build_collator(backbone)(faces(2, "AU1", Scale.PRESENCE))
    model = build_model(backbone)
    keep_halves(model, torch.bfloat16)
    before = _learned(model, batch)[0]
    with torch.no_grad():
        for one in model.parameters():
            one.mul_(1.1)
    after = _learned(model, batch)[0]
    drop_halves(model)
    assert not torch.equal(after, before)
    assert torch.equal(_learned(model, batch)[0], after)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_fit_converts_a_frozen_weight_once(
    precision: Any, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reaches the products: the weights, or the same copies in both steps."""
    module = module_of(backbone, 2)
    frozen = {one.shape: one for one in module.model.parameters() if not one.requires_grad}
    used: list[Tensor] = []
    linear = F.linear

    def watched(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if weight.shape in frozen and not weight.requires_grad:
            used.append(weight)
        return linear(inputs, weight, bias)

    monkeypatch.setattr(F, "linear", watched)
    batch = batch_of(module, PRESENCE)
    trainer_of(2, precision=precision).fit(module, loader([batch, batch]))
    steps = len(used) // 2
    assert {one.dtype for one in used} == {torch.float32 if precision == "32-true" else torch.bfloat16}
    assert steps > 0
    pairs = zip(used[:steps], used[steps:], strict=True)
    assert all(first.data_ptr() == second.data_ptr() for first, second in pairs)
