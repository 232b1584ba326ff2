from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from torch import Tensor

from aullava.training.callbacks.guards import FiniteSteps, GradientCoverage
from aullava.training.errors import RunError
from tests.checkpoints import Backbone
from tests.training.learning import PRESENCE, batch_of, loader, module_of, trainer_of


class Spoil(Callback):
    """Makes the loss or a gradient of some batches not finite, and notes the weights after each batch."""

    def __init__(self, batches: set[int], what: str, value: float = float("nan")) -> None:
        self.batches, self.what, self.value = batches, what, value
        self.number = -1
        self.weights: list[Tensor] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.number = batch_idx

    def on_before_backward(self, trainer: Trainer, pl_module: Any, loss: Tensor) -> None:
        if self.number in self.batches and self.what == "loss":
            loss.data.fill_(self.value)

    def on_after_backward(self, trainer: Trainer, pl_module: Any) -> None:
        if self.number in self.batches and self.what == "gradient":
            next(pl_module.model.projector.parameters()).grad.view(-1)[0] = self.value

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        self.weights.append(next(pl_module.model.projector.parameters()).detach().clone())


def _fit(backbone: Backbone, spoil: Spoil, steps: int, accumulate: int = 1) -> FiniteSteps:
    module, guard = module_of(backbone, steps), FiniteSteps()
    batches = [batch_of(module, PRESENCE, 2)] * (steps * accumulate)
    trainer = trainer_of(steps, [spoil, guard], accumulate_grad_batches=accumulate)
    trainer.fit(module, train_dataloaders=loader(batches))
    assert trainer.global_step == steps
    return guard


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_step_that_is_not_finite_is_left_out_and_its_samples_are_named(
    what: str, value: float, backbone: Backbone, caplog: pytest.LogCaptureFixture
) -> None:
    spoil = Spoil({1}, what, value)
    with caplog.at_level(logging.WARNING):
        guard = _fit(backbone, spoil, 3)
    assert guard.skipped == 1
    assert torch.equal(spoil.weights[0], spoil.weights[1])
    assert not torch.equal(spoil.weights[1], spoil.weights[2])
    assert all(bool(torch.isfinite(one).all()) for one in spoil.weights)
    wanted = f"the {what} of step 2 is not finite (samples presence-0-0, presence-0-1): the step is left out"
    assert wanted in caplog.text


def test_one_bad_batch_of_an_accumulation_spoils_its_step_alone(backbone: Backbone) -> None:
    spoil = Spoil({2}, "loss")
    assert _fit(backbone, spoil, 3, accumulate=2).skipped == 1
    assert torch.equal(spoil.weights[1], spoil.weights[3])
    assert not torch.equal(spoil.weights[3], spoil.weights[5])


def test_three_in_a_row_end_the_run_and_fewer_do_not(backbone: Backbone) -> None:
    assert _fit(backbone, Spoil({0, 1, 3, 4}, "loss"), 6).skipped == 4
    with pytest.raises(RunError, match=r"the loss of step 4 is not finite \(samples presence-0-0, presence"):
        _fit(backbone, Spoil({1, 2, 3, 4}, "loss"), 6)


def test_gradients_that_reach_everything_are_silent(backbone: Backbone) -> None:
    module = module_of(backbone, 2)
    batches = [batch_of(module, PRESENCE, 2)] * 2
    trainer_of(2, [GradientCoverage()]).fit(module, train_dataloaders=loader(batches))


@pytest.mark.parametrize("how", ["none", "zero"])
def test_a_tensor_without_gradient_is_named_in_the_first_step(how: str, backbone: Backbone) -> None:
    module = module_of(backbone, 2)
    if how == "none":
        module.model.projector.register_parameter("idle", torch.nn.Parameter(torch.zeros(2)))
        name = "model.projector.idle"
    else:
        name, last = [pair for pair in module.named_parameters() if "lora_B" in pair[0]][-1]
        last.register_hook(torch.zeros_like)  # type: ignore[no-untyped-call]  # PyTorch's own
    batches = [batch_of(module, PRESENCE, 2)] * 2
    with pytest.raises(RunError) as caught:
        trainer_of(2, [GradientCoverage()]).fit(module, train_dataloaders=loader(batches))
    assert f"({name}): they would never change" in str(caught.value)
    assert "no gradient reaches 1 of" in str(caught.value)
