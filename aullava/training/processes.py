"""The processes that train together: who they are, and how they agree before Lightning takes over.

However they were started (`aullava.launch`, torchrun, srun), each finds the same variables: RANK, LOCAL_RANK,
WORLD_SIZE, MASTER_ADDR, MASTER_PORT. They join before anything is made, so that there is one run folder, one
look at the data and one start of the trained weights.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from torch import Tensor, nn
from torch import distributed as dist

from aullava.config.schema import StrategyConfig
from aullava.training.errors import RunError
from datamodules.cores import usable_cores

Shared = TypeVar("Shared")


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those of its job.

    Attributes:
        rank: its number, 0 for the one that writes.
        local_rank: its number on its machine.
        size: how many there are.
    """

    rank: int = 0
    local_rank: int = 0
    size: int = 1

    @property
    def writes(self) -> bool:
        """Whether this is the one that makes folders and files."""
        return self.rank == 0

    def told(self, value: Shared) -> Shared:
        """What the first process has for `value`; all of them call this."""
        if self.size == 1:
            return value
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0)
        said: Shared = box[0]
        return said

    def least(self, value: int) -> int:
        """The smallest `value` of all processes."""
        box = torch.tensor(value)
        if self.size > 1:
            dist.all_reduce(box, dist.ReduceOp.MIN)
        return int(box)

    def share(self, count: int) -> slice:
        """Which of `count` things are this process's: nearly equal runs, in the order of the ranks."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def same(self, tensors: dict[str, Tensor]) -> None:
        """Give all processes the first one's tensors, in place; the names and shapes are equal already."""
        for tensor in tensors.values() if self.size > 1 else ():
            dist.broadcast(tensor, src=0)

    @contextmanager
    def one_first(self) -> Iterator[None]:
        """One process of each machine goes through the block before the others: it fills the caches."""
        if self.size > 1 and self.local_rank > 0:
            dist.barrier()
        yield
        if self.size > 1 and self.local_rank == 0:
            dist.barrier()


@contextmanager
def joined(strategy: StrategyConfig, accelerator: str) -> Iterator[Processes]:
    """Meet the other processes of the job, if it has some, and part at the end.

    Args:
        strategy: how many there shall be.
        accelerator: kind of device, in Lightning's words.

    Raises:
        RunError: there are more or fewer than the config says, or they were not started at all.
    """
    take_over_slurm()
    wanted, started = strategy.devices * strategy.nodes, int(os.environ.get("WORLD_SIZE", "1"))
    if "RANK" not in os.environ:
        started = 1
    if started != wanted:
        raise RunError(
            f"processes started: {started}, but strategy.devices x strategy.nodes is {strategy.devices} x "
            f"{strategy.nodes} = {wanted}: make the two equal, see docs/scaling_out.md"
        )
    if wanted == 1:
        yield Processes()
        return
    mine = Processes(int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"]), wanted)
    if not mine.writes:
        _be_quiet()
    cuda = accelerator != "cpu" and torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(mine.local_rank)
    # Beside NCCL, gloo serves what lies in main memory; Lightning finds the group made and uses it.
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", rank=mine.rank, world_size=wanted)
    yield mine
    dist.destroy_process_group()  # not after an error: it would wait for partners that are gone


@contextmanager
def threads_of(count: int) -> Iterator[None]:
    """Compute on the threads of `count` processes of this machine; the others have nothing to do now.

    Never on more than there are cores for this process, unless it computes on more already.
    """
    own = torch.get_num_threads()
    torch.set_num_threads(max(own, min(own * count, usable_cores())))
    try:
        yield
    finally:
        torch.set_num_threads(own)


def device_of(accelerator: str) -> torch.device:
    """The device of this process.

    Args:
        accelerator: kind of device, in Lightning's words.
    """
    if accelerator != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def take_over_slurm() -> None:
    """Under srun, put what SLURM says about this process where torchrun puts it.

    Raises:
        RunError: it does not say how many processes each machine has.
    """
    if "RANK" in os.environ or "SLURM_STEP_ID" not in os.environ:
        return
    if int(os.environ.get("SLURM_NTASKS", "1")) > 1 and "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise RunError("SLURM was asked for --ntasks alone: write --ntasks-per-node, see docs/scaling_out.md")
    slurm = SLURMEnvironment(auto_requeue=False)
    os.environ |= {
        "RANK": str(slurm.global_rank()),
        "LOCAL_RANK": str(slurm.local_rank()),
        "GROUP_RANK": str(slurm.node_rank()),
        "WORLD_SIZE": str(slurm.world_size()),
        "MASTER_ADDR": slurm.main_address,
        "MASTER_PORT": str(slurm.main_port),
    }


def total(tensor: Tensor) -> Tensor:
    """The sum of a tensor over all processes; the tensor itself where there is one."""
    if dist.is_available() and dist.is_initialized():
        tensor = tensor.clone()
        dist.all_reduce(tensor)
    return tensor


def mean_gradients(model: nn.Module) -> None:
    """Give every gradient its mean over all processes, in place, by one message; for small models."""
    if not (dist.is_available() and dist.is_initialized()):
        return
    found = [one.grad for one in model.parameters() if one.grad is not None]
    flat = total(torch.cat([one.flatten() for one in found])) / dist.get_world_size()
    for one, mean in zip(found, torch.split(flat, [one.numel() for one in found]), strict=True):
        one.copy_(mean.view_as(one))


def _be_quiet() -> None:
    """What every process would say is said by the first one alone."""
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end
    warnings.simplefilter("ignore")
    logging.getLogger("datamodules").setLevel(logging.ERROR)
