"""How the devices share the work: Lightning's own engines, made ready for frozen weights with adapters."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from inspect import signature
from typing import Any

import torch
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from lightning.pytorch.plugins.precision import FSDPPrecision, HalfPrecision, Precision
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, ModelParallelStrategy, Strategy
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from aullava.config.schema import Config, StrategyConfig
from aullava.models.vlm import FaceLanguageModel
from aullava.training.errors import RunError


class ShardedStrategy(ModelParallelStrategy):
    """FSDP2: every process holds a part of all weights; a block is brought together when it is needed."""

    @contextmanager
    def block_backward_sync(self) -> Iterator[None]:
        """Leave gradients where they are until the last batch of a step has been learned from."""
        parts = [part for part in _modules(self.model) if isinstance(part, FSDPModule)]
        for part in parts:
            part.set_requires_gradient_sync(False, recurse=False)
        try:
            yield
        finally:
            for part in parts:
                part.set_requires_gradient_sync(True, recurse=False)


class WholeBfloat16(HalfPrecision):
    """bf16 for every weight. The batch stays as it is: the encoder takes pixels into its own dtype."""

    def __init__(self) -> None:
        super().__init__("bf16-true")

    def convert_input(self, data: object) -> object:
        """Lightning would go into the batch, which is frozen."""
        return data


def build_strategy(settings: StrategyConfig, model: FaceLanguageModel) -> str | Strategy:
    """Lightning's strategy for the processes of a run.

    Args:
        settings: which, and how many devices.
        model: whose repeated blocks the older engine wraps.
    """
    size = settings.devices * settings.nodes
    if size == 1:
        return "auto"
    if settings.name == "ddp":
        # Buffers are constants (positions, frequencies): nothing to send around before each step.
        known = signature(DistributedDataParallel).parameters  # torch 2.13 has a new word for it
        word = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        options: dict[str, Any] = {word: False}
        return DDPStrategy(gradient_as_bucket_view=True, **options)
    if settings.name == "fsdp2":
        # Both sizes, always: Lightning's defaults would split tensors instead of sharing out the weights.
        return ShardedStrategy(data_parallel_size=size, tensor_parallel_size=1)
    model.reads_once = False
    model.folds()  # asked while its weights are whole
    kinds = {type(block) for block in blocks(model)}
    return FSDPStrategy(auto_wrap_policy=kinds, use_orig_params=True, state_dict_type="full")


class FullySharded(FSDPPrecision):
    """The older engine's arithmetic. The batch stays as it is here too."""

    def convert_input(self, data: object) -> object:
        """Lightning would go into the batch, which is frozen."""
        return data


def precision_plugin(precision: str, strategy: str) -> Precision | None:
    """Our own arithmetic where Lightning's does not fit; None: Lightning's."""
    if strategy == "fsdp":
        return FullySharded(precision)  # type: ignore[arg-type]  # of the schema's words
    return WholeBfloat16() if precision == "bf16-true" else None


def refuse_machine(config: Config) -> None:
    """Refuse devices, arithmetic and kernels for training that this machine has not.

    Lightning would take others, or it would fail later.

    Raises:
        RunError: says what to write instead.
    """
    trainer, strategy = config.trainer, config.strategy
    wanted, precision = trainer.accelerator, trainer.precision
    cuda = wanted in ("auto", "gpu", "cuda") and CUDAAccelerator.is_available()
    mps = wanted in ("gpu", "mps") and MPSAccelerator.is_available()
    if wanted not in ("auto", "cpu") and not (cuda or mps):
        raise RunError(f"trainer.accelerator is {wanted}, but there is none here: write cpu or auto")
    if cuda and strategy.devices > (count := torch.cuda.device_count()):
        raise RunError(f"strategy.devices is {strategy.devices}, but here are {count} GPUs: write {count}")
    if strategy.name == "fsdp" and not cuda:
        raise RunError("strategy 'fsdp' needs GPUs, Lightning refuses it without: write strategy=fsdp2")
    if precision == "16-mixed" and not cuda:
        raise RunError("trainer.precision 16-mixed needs a CUDA device: write bf16-mixed or 32-true")
    if precision.startswith("bf16") and cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise RunError(f"this GPU cannot compute in bfloat16 (trainer.precision {precision}): write 16-mixed")
    flex = config.llm.attention == "flex_attention"
    if flex and not cuda:
        raise RunError(
            "llm.attention flex_attention learns on a CUDA device only, PyTorch has no backward pass of it "
            "elsewhere: write sdpa"
        )
    for key, asked, other in (("trainer.compile", trainer.compile, "false"), ("llm.attention", flex, "sdpa")):
        if asked and cuda and find_spec("triton") is None:
            raise RunError(f"{key} needs triton on a GPU, and it is not installed: write {other}")
    if trainer.compile and not cuda:
        _refuse_compiler()


def _refuse_compiler() -> None:
    """Refuse a CPU on which torch.compile has nothing to compile with."""
    names = [os.environ.get("CXX", "g++"), "clang++"]
    if not any(shutil.which(name) for name in names):
        raise RunError(f"trainer.compile needs a C++ compiler ({names[0]}), and here is none: write false")


def blocks(model: nn.Module) -> list[nn.Module]:
    """The repeated blocks of encoder and language model: the elements of their outermost lists."""
    found: list[nn.Module] = []
    for child in model.children():
        found += list(child) if isinstance(child, nn.ModuleList) else blocks(child)
    return found


def share_out(model: FaceLanguageModel, mesh: DeviceMesh) -> None:
    """Share the weights out, in place: each block is a part of its own, the rest belongs to the whole.

    What lies outside of them (embeddings, head, projector) is touched inside the whole model's forward only.

    Args:
        model: with equal weights in all processes.
        mesh: of the processes, one-dimensional.
    """
    model.reads_once = False
    model.folds()  # asked while its weights are whole
    for block in blocks(model):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def bring_together(model: nn.Module) -> None:
    """Keep all weights whole until `take_apart`.

    Answers take many short passes, and not equally many in all processes.
    """
    for part in _modules(model):
        if isinstance(part, FSDPModule):
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()


def take_apart(model: nn.Module) -> None:
    """Undo `bring_together`."""
    for part in _modules(model):
        if isinstance(part, FSDPModule):
            part.set_reshard_after_forward(part is not model, recurse=False)  # the whole is needed to the end
            part.reshard()


def _modules(model: nn.Module | None) -> Iterator[nn.Module]:
    return iter(()) if model is None else model.modules()
