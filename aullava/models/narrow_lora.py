"""LoRA in narrow layers: one product with the changed weight instead of three with its parts."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from aullava.models.vlm import FaceLanguageModel


class NarrowLora:
    """Computes W x + s B A x as (W + s B A) x wherever that takes fewer operations, while a model learns.

    PEFT multiplies by W, A and B one after the other, which is right for a wide layer: the gradient of its
    whole weight would cost more than both factors. In a layer hardly wider than the rank it is the other way
    round, and the conversions and sums between the small products cost more than they do. The changed weight
    is made once a step, when the model's forward pass begins, however many passes the step takes.

    Only where a gradient is wanted: answers are decoded by PEFT's own layers.

    Args:
        model: with LoRA in fp32, not sharded. Changed until `undo`.
    """

    def __init__(self, model: FaceLanguageModel) -> None:
        found = [_narrow(one) for one in model.modules()]
        self._layers = [layer for layer in found if layer is not None]
        for layer in self._layers:
            layer.lora.__dict__["forward"] = layer  # found before the class's own
        # Before the first block, not in it: a block whose inside is computed again would make it twice.
        self._hook: RemovableHandle = model.register_forward_pre_hook(self._prepare)

    def undo(self) -> None:
        """Give the layers their own forward pass back."""
        self._hook.remove()
        for layer in self._layers:
            del layer.lora.__dict__["forward"]

    def _prepare(self, *_: object) -> None:
        for layer in self._layers if torch.is_grad_enabled() else ():
            layer.prepare()


class _Layer:
    """The forward pass of one LoRA layer.

    Args:
        lora: the layer, its adapter active.
        base: W of it.
        first: A.
        second: B.
        scale: s.
    """

    def __init__(self, lora: Linear, base: nn.Linear, first: Tensor, second: Tensor, scale: float) -> None:
        self.lora = lora
        self.base = base
        self.first, self.second, self.scale = first, second, scale
        self.weight: Tensor | None = None

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        if self.weight is None or not torch.is_grad_enabled():
            return type(self.lora).forward(self.lora, inputs, *args, **kwargs)
        return F.linear(inputs, self.weight, self.base.bias)

    def prepare(self) -> None:
        """Make W + s B A [out, in]: summed in fp32, then in the type in which products are computed."""
        device = self.first.device.type
        with torch.autocast(device, enabled=False):
            weight = torch.addmm(self.base.weight, self.second, self.first, alpha=self.scale)
        half = torch.is_autocast_enabled(device)
        self.weight = weight.to(torch.get_autocast_dtype(device)) if half else weight


def _narrow(lora: nn.Module) -> _Layer | None:
    """What computes a layer with LoRA that is narrow enough for its rank; None for all others.

    For many tokens N, the factors cost 3 N r (in + out) multiplications a step, forward and backward, and the
    gradient of the whole weight N in out; what does not grow with N is left out. None also where a layer is
    more than W and a product of two factors: a quantised W, dropout before A, a bias, DoRA (a "variant").
    """
    if type(lora) is not Linear or lora.lora_variant:
        return None
    base: nn.Module = lora.get_base_layer()
    names = list(lora.active_adapters)
    if not isinstance(base, nn.Linear) or len(names) != 1:
        return None
    first, second = lora.lora_A[names[0]], lora.lora_B[names[0]]
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    whole = {base.weight.dtype, first.weight.dtype, second.weight.dtype} == {torch.float32}
    if not whole or lora.lora_bias[names[0]] or not isinstance(lora.lora_dropout[names[0]], nn.Identity):
        return None
    out, into = base.weight.shape
    if into * out >= 3 * lora.r[names[0]] * (into + out):
        return None
    return _Layer(lora, base, first.weight, second.weight, lora.scaling[names[0]])
