"""Weights and moments as whole tensors on the CPU, however they are shared out, and back.

A checkpoint is the same file for every strategy: one written by several processes can be read by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from aullava.models.vlm import FaceLanguageModel


def whole(tensor: Tensor) -> Tensor:
    """The whole of a tensor that is shared out; all processes call this for the same ones, in one order."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_weights(model: FaceLanguageModel) -> dict[str, Tensor]:
    """Every trained tensor; all processes call this."""
    return {name: whole(tensor).cpu() for name, tensor in model.trainable_state_dict().items()}


def whole_moments(optimizer: Optimizer) -> dict[str, Any]:
    """The state of an optimiser; all processes call this."""
    state = optimizer.state_dict()
    return {**state, "state": _each_tensor(state["state"], lambda _, tensor: whole(tensor).cpu())}


def load_moments(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Take over what `whole_moments` gave, each process its part."""
    parameters = [one for group in optimizer.param_groups for one in group["params"]]

    def part(number: int, tensor: Tensor) -> Tensor:
        like = parameters[number]
        if not isinstance(like, DTensor) or tensor.shape != like.shape:  # a count of steps is nobody's part
            return tensor
        tensor = tensor.to(like.device)
        return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)

    optimizer.load_state_dict({**state, "state": _each_tensor(state["state"], part)})


def bytes_here(model: nn.Module) -> int:
    """Bytes of the parameters that this process holds."""
    parts = [one.to_local() if isinstance(one, DTensor) else one for one in model.parameters()]
    return sum(part.numel() * part.element_size() for part in parts)


def _each_tensor(
    states: dict[int, dict[str, Any]], change: Callable[[int, Tensor], Tensor]
) -> dict[int, dict[str, Any]]:
    return {
        number: {key: change(number, one) if isinstance(one, Tensor) else one for key, one in state.items()}
        for number, state in states.items()
    }
