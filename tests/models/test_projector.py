from __future__ import annotations

import pytest
import torch
from torch import nn

from aullava.models.errors import ModelError
from aullava.models.projector import build_projector


def test_linear_is_one_layer() -> None:
    projector = build_projector("linear", 6, 4)
    assert type(projector) is nn.Linear
    assert {name: tuple(t.shape) for name, t in projector.named_parameters()} == {
        "weight": (4, 6),
        "bias": (4,),
    }


def test_mlp_is_the_one_of_llava() -> None:
    projector = build_projector("mlp", 6, 4)
    weights = dict(projector.named_parameters())
    assert list(weights) == ["linear_1.weight", "linear_1.bias", "linear_2.weight", "linear_2.bias"]
    x = torch.randn(2, 3, 6)
    hidden = nn.functional.gelu(x @ weights["linear_1.weight"].T + weights["linear_1.bias"])
    torch.testing.assert_close(projector(x), hidden @ weights["linear_2.weight"].T + weights["linear_2.bias"])


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"unknown projector.kind 'liner': did you mean 'linear'\?"):
        build_projector("liner", 6, 4)
