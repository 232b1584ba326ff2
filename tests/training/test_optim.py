from __future__ import annotations

import pytest
import torch

from aullava.config.schema import OptimConfig
from aullava.training.errors import RunError
from aullava.training.optim import build_optimizer, warmup_cosine
from tests.checkpoints import Backbone, build_model


@pytest.mark.parametrize(
    ("step", "steps", "warmup", "floor", "factor"),
    [
        (0, 10, 0.2, 0.0, 0.5),  # two warm-up steps: half, then all
        (1, 10, 0.2, 0.0, 1.0),
        (2, 10, 0.2, 0.0, 1.0),  # the cosine begins at its top
        (4, 10, 0.2, 0.0, 0.8535533905932737),  # a quarter of the way: (1 + cos 45 degrees) / 2
        (6, 10, 0.2, 0.0, 0.5),
        (10, 10, 0.2, 0.0, 0.0),
        (6, 10, 0.2, 0.1, 0.55),  # 0.1 + 0.9 * 0.5
        (10, 10, 0.2, 0.1, 0.1),
        (25, 10, 0.2, 0.1, 0.1),  # beyond the end it stays there
        (0, 10, 0.0, 0.0, 1.0),  # no warm-up
        (0, 100, 0.03, 0.0, 1 / 3),  # the default: three of a hundred
        (2, 100, 0.03, 0.0, 1.0),
        (0, 1, 0.03, 0.0, 1.0),  # a run of one step learns at the full rate
        (3, 4, 1.0, 0.0, 1.0),  # all warm-up
    ],
)
def test_the_schedule_has_the_values_worked_out_by_hand(
    step: int, steps: int, warmup: float, floor: float, factor: float
) -> None:
    assert warmup_cosine(step, steps, warmup, floor) == pytest.approx(factor, abs=1e-12)


def test_the_schedule_rises_once_and_falls_once() -> None:
    factors = [warmup_cosine(step, 200, 0.1, 0.05) for step in range(200)]
    assert min(factors) > 0
    assert factors[:20] == sorted(factors[:20])
    assert factors[20:] == sorted(factors[20:], reverse=True)


def test_every_trainable_tensor_is_in_exactly_one_group(backbone: Backbone) -> None:
    model = build_model(backbone, kind="mlp")
    settings = OptimConfig(lr_projector=0.5, lr_lora=0.25, weight_decay=0.125)
    optimizer, _ = build_optimizer(model, settings, 10)

    assert [group["name"] for group in optimizer.param_groups] == ["projector", "lora"]
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.5, 0.25]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.125, 0.125]
    grouped = [[id(tensor) for tensor in group["params"]] for group in optimizer.param_groups]
    wanted = {
        part: {
            id(tensor) for name, tensor in model.named_parameters() if mark in name and tensor.requires_grad
        }
        for part, mark in (("projector", "projector."), ("lora", "lora_"))
    }
    assert [set(ids) for ids in grouped] == [wanted["projector"], wanted["lora"]]
    assert sum(map(len, grouped)) == len(model.trainable_state_dict())  # none twice


def test_the_rates_follow_the_schedule(backbone: Backbone) -> None:
    settings = OptimConfig(lr_projector=0.5, lr_lora=0.25, warmup=0.2)
    optimizer, schedule = build_optimizer(build_model(backbone), settings, 10)
    rates = []
    for _ in range(10):
        rates += [group["lr"] for group in optimizer.param_groups]
        optimizer.step()
        schedule.step()
    factors = [warmup_cosine(step, 10, 0.2, 0.0) for step in range(10)]
    assert rates == pytest.approx([peak * factor for factor in factors for peak in (0.5, 0.25)])


def test_a_tensor_that_no_group_would_train_is_refused(backbone: Backbone) -> None:
    model = build_model(backbone)
    torch.nn.Module.requires_grad_(next(model.vision.children()), True)
    with pytest.raises(RunError, match="trainable tensors are in no parameter group: freeze them"):
        build_optimizer(model, OptimConfig(), 10)
