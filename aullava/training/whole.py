"""Weights and moments as whole tensors on the CPU, however they are shared out, and back.

A checkpoint is the same file for every strategy: one written by several processes can be read by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.distributed.fsdp import (
    FullOptimStateDictConfig,
    FullStateDictConfig,
    FullyShardedDataParallel,
    StateDictType,
)
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from aullava.models.vlm import FaceLanguageModel

FSDP = FullyShardedDataParallel  # as everybody calls it
_GROUPS = "param_groups"


def whole(tensor: Tensor) -> Tensor:
    """The whole of a tensor that is shared out; all processes call this for the same ones, in one order."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_weights(model: FaceLanguageModel, root: nn.Module | None = None) -> dict[str, Tensor]:
    """Every trained tensor; all processes call this.

    Args:
        model: whose tensors.
        root: what the strategy has wrapped around it, if anything.
    """
    if not isinstance(root, FSDP):
        return {name: whole(tensor).cpu() for name, tensor in model.trainable_state_dict().items()}
    numbers = {name: number for number, name in enumerate(_trained(model))}
    found: dict[str, Tensor] = {}
    for unit in FSDP.fsdp_modules(root):  # one by one: the frozen weights never lie whole in one place
        with FSDP.summon_full_params(unit, recurse=False, writeback=False):
            here = {name: one for name, one in _trained(model).items() if one.numel()}
            found |= {name: one.detach().cpu().clone() for name, one in here.items() if _belongs(one, unit)}
    return dict(sorted(found.items(), key=lambda pair: numbers[pair[0]]))


def whole_moments(optimizer: Optimizer, root: nn.Module | None = None) -> dict[str, Any]:
    """The state of an optimiser; all processes call this."""
    if not isinstance(root, FSDP):
        state = optimizer.state_dict()
        return {**state, "state": _each_tensor(state["state"], lambda _, tensor: whole(tensor).cpu())}
    with _full(root):
        named = FSDP.optim_state_dict(root, optimizer)
    order = [name for group in named[_GROUPS] for name in group["params"]]
    groups, number = [], 0
    for group in named[_GROUPS]:
        groups.append({**group, "params": list(range(number, number + len(group["params"])))})
        number += len(group["params"])
    states = {place: named["state"][name] for place, name in enumerate(order)}
    return {"state": states, _GROUPS: groups}


def load_moments(optimizer: Optimizer, state: dict[str, Any], root: nn.Module | None = None) -> None:
    """Take over what `whole_moments` gave, each process its part."""
    parameters = [one for group in optimizer.param_groups for one in group["params"]]

    def part(number: int, tensor: Tensor) -> Tensor:
        like = parameters[number]
        if not isinstance(like, DTensor) or tensor.shape != like.shape:  # a count of steps is nobody's part
            return tensor
        tensor = tensor.to(like.device)
        return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)

    if isinstance(root, FSDP):
        names = {id(one): _plain(name) for name, one in root.named_parameters()}
        order = [names[id(one)] for one in parameters]
        groups = [{**one, "params": [order[place] for place in one["params"]]} for one in state[_GROUPS]]
        states = {order[place]: one for place, one in state["state"].items()}
        named = {"state": states, _GROUPS: groups}
        with _full(root):
            optimizer.load_state_dict(FSDP.optim_state_dict_to_load(root, optimizer, named))
        return
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


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {_plain(name): one for name, one in model.named_parameters() if one.requires_grad}


def _plain(name: str) -> str:
    """A name without what FSDP writes into it."""
    return name.replace("_fsdp_wrapped_module.", "")


def _belongs(parameter: Tensor, unit: nn.Module) -> bool:
    """Whether a tensor lies in a unit and in none below it."""
    below = [one for one in FSDP.fsdp_modules(unit) if one is not unit]
    inner = {id(one) for module in below for one in module.parameters()}
    return id(parameter) in {id(one) for one in unit.parameters()} - inner


def _full(root: FullyShardedDataParallel) -> Any:
    """Whole tensors of all processes, on their devices, while the context is open."""
    moments = FullOptimStateDictConfig(offload_to_cpu=False, rank0_only=False)
    return FSDP.state_dict_type(root, StateDictType.FULL_STATE_DICT, FullStateDictConfig(), moments)
