"""Trains a small module in one of several processes, for tests of strategies.

Run as ``python -m tests.training.ranks WORK SCENARIO...`` with torchrun's variables set; the first process
writes what happened in each scenario to ``WORK/<scenario>.json``. In one process, call `train`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from lightning import Callback, Trainer
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.strategies import FSDPStrategy
from torch import distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from aullava.config.schema import StrategyConfig
from aullava.launch import _free_port
from aullava.training.callbacks.checkpoints import SaveCheckpoints
from aullava.training.callbacks.go_on import GoOn
from aullava.training.callbacks.guards import FiniteSteps, GradientCoverage
from aullava.training.module import AULightningModule
from aullava.training.snapshots import newest_snapshot
from aullava.training.strategies import build_strategy, precision_plugin
from aullava.training.whole import bytes_here, whole_weights
from datamodules.action_units import Scale
from tests.checkpoints import Backbone, faces
from tests.source_tree import REPOSITORY
from tests.training.learning import loader, module_of, trainer_of

STEPS, BATCH = 20, 4
SHORT, LONG = "AU1 AU2", "AU1 AU2 AU4 AU6 AU12 AU15 AU17 AU23"


@dataclass(frozen=True)
class Scenario:
    """How a module is trained.

    Attributes:
        strategy, precision, accumulate: as in a config.
        begin: name of a folder in which another scenario saved; None: from the beginning.
        until: steps.
        save: name of the folder in which it saves at its end.
        sharded: save in parts.
    """

    strategy: str = "single"
    precision: str = "32-true"
    accumulate: int = 1
    begin: str | None = None
    until: int = STEPS
    save: str | None = None
    sharded: bool = False


SCENARIOS = {
    "single": Scenario(),
    "single accumulating": Scenario(accumulate=2),
    "single bf16": Scenario(precision="bf16-true"),
    "single half": Scenario(until=10, save="one"),
    "ddp": Scenario("ddp"),
    "ddp accumulating": Scenario("ddp", accumulate=2),
    "ddp half": Scenario("ddp", until=10, save="ddp", sharded=True),
    "ddp goes on": Scenario("ddp", begin="ddp"),
    "ddp mixed": Scenario("ddp", "bf16-mixed"),
    "fsdp2": Scenario("fsdp2"),
    "fsdp2 accumulating": Scenario("fsdp2", accumulate=2),
    "fsdp2 half": Scenario("fsdp2", until=10, save="two"),
    "fsdp2 goes on": Scenario("fsdp2", begin="two"),
    "fsdp2 half in parts": Scenario("fsdp2", until=10, save="parts", sharded=True),
    "fsdp2 goes on from parts": Scenario("fsdp2", begin="parts"),
    "fsdp2 from one": Scenario("fsdp2", begin="one"),
    "fsdp2 mixed": Scenario("fsdp2", "bf16-mixed"),
    "fsdp2 bf16": Scenario("fsdp2", "bf16-true"),
    "single from two": Scenario(begin="two"),
    "single from parts": Scenario(begin="parts"),
    "fsdp": Scenario("fsdp"),
    "fsdp half": Scenario("fsdp", until=10, save="three"),
    "fsdp goes on": Scenario("fsdp", begin="three"),
    "single from three": Scenario(begin="three"),
}


class Watch(Callback):
    """Notes losses, bytes of the weights, and how often gradients are sent around."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.weights: dict[str, torch.Tensor] = {}
        self.bytes = self.sent = 0

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.bytes = bytes_here(pl_module.model)
        if isinstance(trainer.strategy.model, DistributedDataParallel):
            hook = lambda state, bucket: self._counted(bucket)  # noqa: E731 - annotations are compared, as types
            trainer.strategy.model.register_comm_hook(None, hook)

    def _counted(self, bucket: Any) -> Any:
        self.sent += bucket.is_last()
        group = dist.group.WORLD
        assert group is not None
        return allreduce_hook(group, bucket)

    def counting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **more: Any) -> Any:
            self.sent += 1
            return function(*arguments, **more)

        return counted

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.weights = whole_weights(pl_module.model, trainer.strategy.model)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train/loss"]))


class CpuFSDP(FSDPStrategy):
    """Lightning refuses FSDP on a CPU by its exact type; PyTorch's engine runs there when told the device."""

    def _setup_model(self, model: torch.nn.Module) -> FullyShardedDataParallel:
        return FullyShardedDataParallel(model, device_id=torch.device("cpu"), **self.kwargs)


def _on_a_cpu(strategy: Any) -> Any:
    if isinstance(strategy, FSDPStrategy):
        policy = strategy.kwargs["auto_wrap_policy"]
        return CpuFSDP(auto_wrap_policy=policy, use_orig_params=strategy.kwargs["use_orig_params"])
    return strategy


def batch_of(module: AULightningModule, number: int, rank: int, size: int) -> Any:
    """A part of batch `number`: its first half has short answers and its second half long ones.

    Every other batch asks two questions about each picture, which share it.
    """
    half = BATCH // 2
    rows = faces(half, SHORT, Scale.PRESENCE, number) + faces(half, LONG, Scale.PRESENCE, 99 + number)
    each = BATCH // size
    scales = (Scale.PRESENCE, Scale.LEVEL) if number % 2 else (Scale.PRESENCE,)
    mine = rows[rank * each : (rank + 1) * each]
    return module.collator([replace(face, scale=scale) for face in mine for scale in scales])


def train(work: Path, scenario: Scenario, rank: int = 0, size: int = 1) -> dict[str, Any]:
    """Train and say what happened."""
    torch.manual_seed(3)
    module = module_of(Backbone(str(work / "vision"), str(work / "llm")), STEPS)
    module.optim.loss_weight.level = 3.0
    watch = Watch()
    guards: list[Callback] = [] if scenario.strategy == "fsdp" else [GradientCoverage()]
    beside = [*guards, FiniteSteps(), watch]
    start = 0
    if scenario.begin is not None:
        snapshot = newest_snapshot(work / scenario.begin)
        module.model.load_trainable_state_dict(snapshot.weights)
        beside.append(GoOn(snapshot))
        start = snapshot.step
    if scenario.save is not None:
        beside.append(SaveCheckpoints(work / scenario.save, 100, {}, "", BATCH, sharded=scenario.sharded))
    numbers = range(start * scenario.accumulate, scenario.until * scenario.accumulate)
    arithmetic = precision_plugin(scenario.precision, scenario.strategy)
    trainer = trainer_of(
        scenario.until,
        beside,
        devices=size,
        strategy=_on_a_cpu(build_strategy(StrategyConfig(scenario.strategy, size), module.model)),
        plugins=[*([TorchElasticEnvironment()] if size > 1 else []), *([arithmetic] if arithmetic else [])],
        precision=scenario.precision if arithmetic is None else None,
        accumulate_grad_batches=scenario.accumulate,
        gradient_clip_val=1.0,
        use_distributed_sampler=False,
    )
    word = "reduce_scatter_single" if hasattr(dist, "reduce_scatter_single") else "reduce_scatter_tensor"
    with patch.object(dist, word, watch.counting(getattr(dist, word))):
        batches = [batch_of(module, number, rank, size) for number in numbers]
        trainer.fit(module, train_dataloaders=loader(batches))
    weights = watch.weights
    shared = sum(isinstance(one, DTensor) for one in module.model.parameters())
    return {
        "losses": watch.losses,
        "bytes": watch.bytes,
        "sent": watch.sent,
        "shared": shared,
        "weights": {name: tensor.float().flatten().tolist() for name, tensor in weights.items()},
    }


def in_processes(work: Path, names: Sequence[str], size: int = 2) -> dict[str, dict[str, Any]]:
    """Run scenarios in `size` processes, one after the other; what the first process saw in each."""
    places = {"WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port(), "GROUP_RANK": 0}
    common = {**os.environ, "PYTHONPATH": str(REPOSITORY), **{key: str(one) for key, one in places.items()}}
    command = [sys.executable, "-m", "tests.training.ranks", str(work), *names]
    processes = [
        subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(size)
    ]
    said = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * size, "\n\n".join(said)
    return {name: json.loads((work / f"{name}.json").read_text()) for name in names}


def main(work: Path, names: Sequence[str]) -> None:
    """One process."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo", rank=rank, world_size=size)
    for name in names:
        found = train(work, SCENARIOS[name], rank, size)
        if rank == 0:
            (work / f"{name}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
