"""Half-precision copies of frozen weights, made once instead of in every pass of mixed precision."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Halved:
    """A frozen linear layer's forward pass: under autocast with the copy, otherwise as it is."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        self.layer = layer
        self.dtype = dtype
        self._made: tuple[Any, ...] = ()
        self._weight: Tensor | None = None
        self._bias: Tensor | None = None

    def __call__(self, inputs: Tensor) -> Tensor:
        weight, bias = self.layer.weight, self.layer.bias
        if not torch.is_autocast_enabled(inputs.device.type):
            return F.linear(inputs, weight, bias)
        now = (weight.data_ptr(), weight._version, weight.device)
        if self._made != now:  # the first time, or the weights have moved
            self._weight = weight.detach().to(self.dtype)
            self._bias = None if bias is None else bias.detach().to(self.dtype)
            self._made = now
        assert self._weight is not None
        return F.linear(inputs, self._weight, self._bias)


def keep_halves(model: nn.Module, dtype: torch.dtype) -> None:
    """Let frozen fp32 linear layers keep the half-precision copies of their weights that autocast asks for.

    Autocast converts frozen weights anew in every pass and keeps the copies until the backward pass. Kept
    copies take as much memory as those did at the peak, and give the same products to the last bit. Without
    autocast, as in decoding, the weights themselves are used. Not for sharded weights, which are whole for a
    moment only.

    Args:
        model: changed in place until `drop_halves`.
        dtype: in which autocast computes products, torch.bfloat16 or torch.float16.
    """
    for layer in model.modules():
        if type(layer) is nn.Linear and _frozen_fp32(layer):
            layer.__dict__["forward"] = _Halved(layer, dtype)  # found before the class's own


def drop_halves(model: nn.Module) -> None:
    """Undo `keep_halves`."""
    for layer in model.modules():
        if isinstance(layer.__dict__.get("forward"), _Halved):
            del layer.__dict__["forward"]


def _frozen_fp32(layer: nn.Linear) -> bool:
    return all(one.dtype == torch.float32 and not one.requires_grad for one in layer.parameters())
