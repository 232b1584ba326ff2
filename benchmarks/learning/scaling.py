"""The same step in one and in two processes, each on a core of its own.

Run as ``python -m benchmarks.learning.scaling SHAPE FOLDER STRATEGY ROWS STEPS`` by `measure_scaling`, with
torchrun's variables set; the first process prints what it measured as JSON.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import distributed as dist
from torch.utils.data import DataLoader

from aullava.config.schema import StrategyConfig
from aullava.training.strategies import build_strategy
from aullava.training.whole import bytes_here
from benchmarks.learning.shapes import SHAPES, Shape, asked
from benchmarks.learning.ways import Ours
from datamodules.action_units import Scale

CONTROL = "two alone"
"""Two processes at once that are no job."""
ROOT = Path(__file__).resolve().parent.parent.parent


class WallClock(Callback):
    """Notes the seconds of the wall between two steps, and the bytes of the weights."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.held = 0
        self._last = 0.0

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Count the bytes."""
        self.held = bytes_here(module.model)

    def on_train_batch_end(self, *_: Any) -> None:
        """Look at the clock."""
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now


def work(shape: str, folder: Path, strategy: str, rows: int, steps: int) -> dict[str, float]:
    """Train in this process, with the others of its job if it has some."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(os.environ["BENCHMARK_CORE"]) % len(cores)]})
    torch.set_num_threads(1)
    if size > 1:
        dist.init_process_group("gloo", rank=rank, world_size=size)
    ours, clock = Ours(SHAPES[shape], folder, rows, "32-true"), WallClock()
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps + 2,
        devices=size,
        strategy=build_strategy(StrategyConfig(strategy, size), ours.model),
        plugins=[TorchElasticEnvironment()] if size > 1 else [],
        callbacks=[clock],
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    samples = list(itertools.islice(asked(SHAPES[shape], (Scale.PRESENCE,), rank), rows * (steps + 2)))
    trainer.fit(ours.module, DataLoader(samples, batch_size=rows, collate_fn=ours.collator))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": statistics.median(clock.seconds[2:]), "weights": clock.held, "peak": peak}


def measure_scaling(shape: Shape, folder: Path, rows: int, steps: int, turns: int) -> dict[str, Any]:
    """One process and two in turns; medians, and the efficiency of two (1: each as fast as alone).

    Two cores that are hyperthreads of one are slower together, whatever runs on them: two processes that know
    nothing of each other are the control. `beside_control` is what the strategy itself leaves of that.
    """
    found: dict[str, list[dict[str, float]]] = {"single": [], CONTROL: [], "ddp": [], "fsdp2": []}
    for _ in range(turns):
        for strategy, runs in found.items():
            runs.append(_run(shape, folder, strategy, rows, steps))
    middle = {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for name, runs in found.items()
    }
    alone = middle["single"]
    for name in (CONTROL, "ddp", "fsdp2"):
        beside = zip(found[CONTROL], found[name], strict=True)
        middle[name]["beside_control"] = statistics.median(a["seconds"] / b["seconds"] for a, b in beside)
        pairs = zip(found["single"], found[name], strict=True)
        middle[name]["efficiency"] = statistics.median(one["seconds"] / two["seconds"] for one, two in pairs)
        middle[name]["weights_ratio"] = middle[name]["weights"] / alone["weights"]
    return middle


def _run(shape: Shape, folder: Path, strategy: str, rows: int, steps: int) -> dict[str, float]:
    count = 1 if strategy == "single" else 2
    size = 1 if strategy == CONTROL else count
    named = "single" if strategy == CONTROL else strategy
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "benchmarks.learning.scaling", shape.name, str(folder), named, str(rows), str(steps)]
    place = {**os.environ, "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    place |= {"GROUP_RANK": "0", "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, *words],
            env={**place, **_ranks(rank if size > 1 else 0), "BENCHMARK_CORE": str(rank)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError(f"{strategy} failed: {said}")
    result: dict[str, float] = json.loads(said[0].splitlines()[-1])
    return result


def _ranks(rank: int) -> dict[str, str]:
    return {"RANK": str(rank), "LOCAL_RANK": str(rank)}


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    shape, folder, strategy, rows, steps = sys.argv[1:]
    measured = work(shape, Path(folder), strategy, int(rows), int(steps))
    print(json.dumps(measured))
    if dist.is_initialized():
        dist.destroy_process_group()
