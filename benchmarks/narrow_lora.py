"""A training step of the tiny model with the changed weights of narrow layers, beside PEFT's own products.

    python benchmarks/narrow_lora.py [--small] [--rank 32]

One process, one thread, the synthetic faces, bf16-mixed: forward and backward pass and optimiser step of
16 faces, in turns on the same batches (A B A B), by the processor's clock.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from aullava.config.fragments import EXPERIMENTS
from aullava.config.load import resolve
from aullava.models.half import keep_halves
from aullava.models.narrow_lora import NarrowLora
from aullava.models.vlm import FaceLanguageModel
from aullava.parts import fresh_parts
from aullava.text.batch import AUBatch
from aullava.training.optim import build_optimizer
from aullava.training.processes import Processes
from aullava.vocabulary import vocabulary
from benchmarks.shared.place import commit, processor


def seconds(model: FaceLanguageModel, optimizer: torch.optim.Optimizer, batch: AUBatch) -> float:
    """Processor time of one step."""
    began = time.process_time()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(**batch.inputs())
    assert output.loss is not None
    optimizer.zero_grad()
    output.loss.backward()
    optimizer.step()
    return time.process_time() - began


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--small", action="store_true", help="fewer turns")
    asked.add_argument("--rank", type=int, default=32)
    given = asked.parse_args()
    torch.set_num_threads(1)
    words = [f"adapter.r={given.rank}", f"adapter.alpha={given.rank}", "data.batch_size=16"]
    config = resolve(EXPERIMENTS / "demo.yaml", words, vocabulary()).config
    parts = fresh_parts(config, Processes())
    model = parts.module.model.train()
    keep_halves(model, torch.bfloat16)
    optimizer, _ = build_optimizer(model, config.optim, 1000)
    batches = list(itertools.islice(parts.data.train_dataloader(), 12))
    times: dict[str, list[float]] = {"PEFT's products": [], "changed weights": []}
    for turn in range(4 if given.small else 12):
        narrow = NarrowLora(model) if turn % 2 else None
        mine = times["changed weights" if turn % 2 else "PEFT's products"]
        seconds(model, optimizer, batches[0])
        mine += [seconds(model, optimizer, batch) for batch in batches]
        if narrow is not None:
            narrow.undo()
    print(f"{processor()}, one thread, torch {torch.__version__}, commit {commit()}, rank {given.rank}")
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, median in medians.items():
        print(f"{name}: {1000 * median:.1f} ms a step (median of {len(times[name])})")
    slow, fast = medians.values()
    print(f"changed weights are {slow / fast:.2f} times as fast")


if __name__ == "__main__":
    main()
