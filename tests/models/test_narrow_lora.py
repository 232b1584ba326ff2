"""The changed weight of a narrow layer gives what PEFT's three products give, and what they learn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft.tuners.lora import Linear

from aullava.config.schema import OptimConfig
from aullava.models.adapters import add_lora
from aullava.models.llm import checkpoint_activations, load_llm
from aullava.models.narrow_lora import NarrowLora
from aullava.models.projector import build_projector
from aullava.models.vision import load_vision
from aullava.models.vlm import FaceLanguageModel
from aullava.text.batch import AUBatch
from aullava.training.module import AULightningModule
from datamodules.action_units import Scale
from tests.checkpoints import LAYERS, TARGETS, WIDTH, Backbone, build_collator, faces, run, trained
from tests.training.learning import PRESENCE, batch_of, loader, trainer_of


def _model(backbone: Backbone, r: int = 16, **more: Any) -> FaceLanguageModel:
    torch.manual_seed(3)
    vision, llm = load_vision(backbone.vision, -1), load_llm(backbone.llm)
    if more.pop("recomputed", False):
        checkpoint_activations(llm)
    settings: dict[str, Any] = {"dropout": 0.0, "targets": TARGETS} | more
    adapted = add_lora(llm, r, 8, **settings)
    return trained(FaceLanguageModel(vision, build_projector("linear", vision.dim, WIDTH), adapted)).train()


def _batch(backbone: Backbone, count: int = 3) -> AUBatch:
    return build_collator(backbone, definitions=True)(faces(count, "AU1 AU2 AU12", Scale.INTENSITY))


def _learned(model: FaceLanguageModel, batch: AUBatch) -> tuple[torch.Tensor, ...]:
    """Loss and gradients."""
    loss = run(model, batch).loss
    assert loss is not None
    return loss, *torch.autograd.grad(loss, [one for one in model.parameters() if one.requires_grad])


def _replaced(model: FaceLanguageModel) -> int:
    return sum("forward" in one.__dict__ for one in model.modules() if isinstance(one, Linear))


@pytest.mark.parametrize("recomputed", [False, True])
def test_losses_and_gradients_are_pefts(recomputed: bool, backbone: Backbone) -> None:
    model, batch = _model(backbone, recomputed=recomputed), _batch(backbone)
    before = _learned(model, batch)
    narrow = NarrowLora(model)
    assert _replaced(model) == LAYERS * len(TARGETS)
    after = _learned(model, batch)
    narrow.undo()
    assert _replaced(model) == 0
    for mine, pefts in zip(after, before, strict=True):
        torch.testing.assert_close(mine, pefts, rtol=1e-4, atol=1e-6)
    assert all(torch.equal(one, other) for one, other in zip(_learned(model, batch), before, strict=True))


def test_mixed_precision_is_as_near_to_full_precision_as_pefts(backbone: Backbone) -> None:
    model, batch = _model(backbone), _batch(backbone)
    exact = _learned(model, batch)[1:]

    def error() -> float:
        with torch.autocast("cpu", torch.bfloat16):
            rough = _learned(model, batch)[1:]
        return float(
            torch.stack([(a - b).norm() / b.norm() for a, b in zip(rough, exact, strict=True)]).mean()
        )

    pefts = error()
    NarrowLora(model)
    assert error() < 1.5 * pefts


def test_several_steps_with_accumulated_gradients_lead_to_the_same_weights(backbone: Backbone) -> None:
    batches = [_batch(backbone, count) for count in (2, 3, 2, 3)]
    ends = []
    for narrow in (False, True):
        model = _model(backbone)
        if narrow:
            NarrowLora(model)
        optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.05)
        for number, batch in enumerate(batches):
            loss = run(model, batch).loss
            assert loss is not None
            loss.backward()  # type: ignore[no-untyped-call]
            if number % 2:
                optimizer.step()
                optimizer.zero_grad()
        ends.append(model.trainable_state_dict())
    for name, tensor in ends[0].items():
        torch.testing.assert_close(ends[1][name], tensor, rtol=1e-4, atol=1e-6, msg=name)


def test_answers_are_given_by_pefts_own_layers(backbone: Backbone) -> None:
    model, batch = _model(backbone), _batch(backbone)
    with torch.no_grad():
        before = run(model, batch).logits
        NarrowLora(model)
        assert torch.equal(run(model, batch).logits, before)


@pytest.mark.parametrize("left", [{"r": 2}, {"dropout": 0.1}, {"kind": "dora"}])
def test_wide_layers_and_other_adapters_stay_pefts(left: dict[str, Any], backbone: Backbone) -> None:
    model = _model(backbone, **left)
    NarrowLora(model)
    assert _replaced(model) == 0


class _Counted(AULightningModule):
    """Notes at every step how many layers are replaced."""

    counts: list[int]

    def training_step(self, batch: AUBatch, batch_idx: int) -> torch.Tensor:
        self.counts.append(_replaced(self.model))
        return super().training_step(batch, batch_idx)


def test_a_fit_takes_it_and_gives_it_back(backbone: Backbone) -> None:
    module = _Counted(_model(backbone), build_collator(backbone), [PRESENCE], OptimConfig(), 2)
    module.counts = []
    batch = batch_of(module, PRESENCE)
    trainer_of(2).fit(module, loader([batch, batch]))
    assert module.counts == [LAYERS * len(TARGETS)] * 2
    assert _replaced(module.model) == 0
