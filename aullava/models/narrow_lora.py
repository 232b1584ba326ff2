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
        self._layers = [_Layer(one) for one in model.modules() if _is_narrow(one)]
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
    """The forward pass of one LoRA layer."""

    def __init__(self, lora: Linear) -> None:
        self.lora = lora
        self.weight: Tensor | None = None

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        lora = self.lora
        if self.weight is None or not torch.is_grad_enabled():
            return type(lora).forward(lora, inputs, *args, **kwargs)
        return F.linear(inputs, self.weight, lora.base_layer.bias)

    def prepare(self) -> None:
        """Make W + s B A [out, in]: summed in fp32, then in the type in which products are computed."""
        (name,) = self.lora.active_adapters
        first, second = self.lora.lora_A[name].weight, self.lora.lora_B[name].weight
        device = first.device.type
        with torch.autocast(device, enabled=False):
            weight = torch.addmm(self.lora.base_layer.weight, second, first, alpha=self.lora.scaling[name])
        half = torch.is_autocast_enabled(device)
        self.weight = weight.to(torch.get_autocast_dtype(device)) if half else weight


def _is_narrow(module: nn.Module) -> bool:
    """Whether a module is plain LoRA on a linear layer in fp32, narrow enough for its rank.

    For many tokens N, the factors cost 3 N r (in + out) multiplications a step, forward and backward, and the
    gradient of the whole weight N in out; what does not grow with N is left out.
    """
    if type(module) is not Linear or type(module.base_layer) is not nn.Linear:
        return False
    plain = not module.lora_variant and len(module.active_adapters) == 1  # DoRA is a variant
    if not plain or module.base_layer.weight.dtype != torch.float32:
        return False
    (name,) = module.active_adapters
    dropout = not isinstance(module.lora_dropout[name], nn.Identity)
    if dropout or module.lora_bias[name] or module.lora_A[name].weight.dtype != torch.float32:
        return False
    into, out = module.in_features, module.out_features
    return into * out < 3 * module.r[name] * (into + out)
