"""The tensors of a checkpoint in parts: every process writes what it holds, and nothing is gathered.

`torch.distributed.checkpoint` would do the same, but reads its own ``.metadata`` with pickle. Ours are plain
safetensors; the snapshot that names them (`aullava.training.snapshots`) is written last, when all lie there.
Whoever reads puts the rows of all parts together, so any number of processes can go on from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.tensor import DTensor, Shard
from torch.optim import Optimizer

from aullava.models.vlm import FaceLanguageModel
from aullava.training.stamped import write_stamped

Moments = dict[int, dict[str, Tensor]]
"""Of an optimiser, by the number of the parameter and by their names."""

_WEIGHT, _MOMENT = "weight", "moment"


def own_part(model: FaceLanguageModel, optimizer: Optimizer, rank: int, size: int) -> dict[str, Tensor]:
    """What a process writes of weights and moments: its rows of what is shared out, on the CPU.

    What all processes hold whole they write in turns: each of them every `size`-th tensor.

    Args:
        model: whose trained tensors; frozen ones are never in it.
        optimizer: of them.
        rank: number of the process.
        size: how many there are.
    """
    moments: Moments = optimizer.state_dict()["state"]
    tensors = {f"{_WEIGHT}.{name}": tensor for name, tensor in model.trainable_state_dict().items()}
    for number, state in moments.items():
        tensors |= {f"{_MOMENT}.{number}.{name}": tensor for name, tensor in state.items()}
    part: dict[str, Tensor] = {}
    for turn, (name, tensor) in enumerate(tensors.items()):
        if isinstance(tensor, DTensor):
            assert tensor.placements == (Shard(0),), f"{name} is shared out otherwise than by rows"
            part[name] = tensor.to_local().contiguous().cpu()
        elif turn % size == rank:
            part[name] = tensor.contiguous().cpu()
    return part


def write_part(part: dict[str, Tensor], run: Path, step: int, rank: int, size: int) -> str:
    """Write what `own_part` gave; the name of the file, which lies beside the snapshot.

    Raises:
        RunError: it cannot be written; what was saved before is as it was.
    """
    name = f"step-{step:08d}-part-{rank + 1}-of-{size}.safetensors"
    return write_stamped(run, name, lambda path: save_file(part, path)).name


def read_parts(paths: Iterable[Path]) -> tuple[dict[str, Tensor], Moments]:
    """Whole weights and moments, on the CPU.

    Args:
        paths: of all parts, in the order of the ranks.

    Raises:
        OSError, SafetensorError: one is no file of tensors.
    """
    rows: dict[str, list[Tensor]] = {}
    for path in paths:
        for name, tensor in load_file(path).items():
            rows.setdefault(name, []).append(tensor)
    weights: dict[str, Tensor] = {}
    moments: dict[int, dict[str, Any]] = {}
    for name, found in rows.items():
        tensor = found[0] if len(found) == 1 else torch.cat(found)
        kind, _, rest = name.partition(".")
        if kind == _WEIGHT:
            weights[rest] = tensor
        else:
            number, _, moment = rest.partition(".")
            moments.setdefault(int(number), {})[moment] = tensor
    return weights, moments
