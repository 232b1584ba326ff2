"""How fast training is beside the recipe of its peers, on the same weights, samples and precision.

    python benchmarks/training.py [--small] [--shape 135M] [--precision bf16-mixed] [--only unified]

The peer is transformers' Trainer with LlavaForConditionalGeneration and PEFT's LoRA: padded batches, one
question a row, logits of the whole sequence. First both learn from the same batches, and their losses are
compared step by step, in fp32. Then they take turns (A B A B); times are those of the processor, so that
others on the machine disturb little. Then the same step in one and in two processes, each on a core of its
own, in seconds of the wall.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import os
import statistics
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import lightning
import peft
import torch
import transformers

from benchmarks.learning.scaling import measure_scaling
from benchmarks.learning.shapes import SHAPES, Shape, asked, build_collator, token_counts, write_models
from benchmarks.learning.ways import Ours, Peer, Way, saved_bytes
from benchmarks.shared.place import commit, processor
from datamodules.action_units import Scale

RESULTS = Path(__file__).resolve().parent / "results"
ALL = (Scale.PRESENCE, Scale.LEVEL, Scale.INTENSITY)
MIXTURES = {"unified": ALL, "presence": (Scale.PRESENCE,)}
PEER, SCALING = "peer", "scaling"


@dataclass(frozen=True)
class Counts:
    """How much is measured: steps whose losses are compared, turns, steps of a turn; in which precision."""

    losses: int
    turns: int
    steps: int
    precision: str


def ways_of(shape: Shape, folder: Path, rows: int, precision: str) -> dict[str, Way]:
    """Every way of training, with the same weights."""
    ours = Ours(shape, folder, rows, precision)
    kept = Ours(shape, folder, rows, precision, kept=True)
    peer = Peer(shape, folder, rows, precision, ours)
    return {PEER: peer, "ours": ours, "ours, features kept": kept}


def compare(
    shape: Shape, folder: Path, formats: Sequence[Scale], images: int, counts: Counts
) -> dict[str, Any]:
    """One mixture of questions: losses, times and memory of every way."""
    rows = images * len(formats)
    losses = {}
    for name, way in ways_of(shape, folder, rows, "32-true").items():
        losses[name] = way.run(asked(shape, tuple(formats), 5), counts.losses).losses
    apart = {
        name: max(abs(a - b) for a, b in zip(found, losses[PEER], strict=True))
        for name, found in losses.items()
    }
    ways = ways_of(shape, folder, rows, counts.precision)
    samples = {name: asked(shape, tuple(formats), 9) for name in ways}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(counts.turns):
        for name, way in ways.items():
            times[name].append(statistics.median(way.run(samples[name], counts.steps + 1).seconds))
    batch = list(itertools.islice(asked(shape, tuple(formats), 2), rows))
    saved = {name: saved_bytes(way, batch, counts.precision) for name, way in ways.items()}
    found = {}
    for name in ways:
        seconds = statistics.median(times[name])
        # Turn by turn, so that a slow moment of the machine falls on both sides.
        ratio = statistics.median(b / a for a, b in zip(times[name], times[PEER], strict=True))
        found[name] = {
            "seconds": seconds,
            "turns": times[name],
            "images_per_second": images / seconds,
            "answers_per_second": rows / seconds,
            "ratio": ratio,
            "saved_per_answer": saved[name] / rows,
            "saved_ratio": saved[name] / saved[PEER],
            "losses": losses[name],
            "losses_apart": apart[name],
        }
    return found


def report(name: str, found: dict[str, Any]) -> None:
    """A table of one mixture."""
    heads = f"{'ms/step':>10}{'images/s':>10}{'answers/s':>11}{'ratio':>8}{'MiB/answer':>12}{'ratio':>8}"
    print(f"\n{name:<22}{heads}")
    for way, row in found.items():
        print(
            f"{way:<22}{row['seconds'] * 1000:>10.0f}{row['images_per_second']:>10.2f}"
            f"{row['answers_per_second']:>11.2f}{row['ratio']:>7.2f}x{row['saved_per_answer'] / 2**20:>12.1f}"
            f"{row['saved_ratio']:>7.2f}x"
        )
        if way != PEER:
            steps = len(row["losses"])
            print(f"{'':<22}losses of {steps} steps are at most {row['losses_apart']:.1e} from the peer's")


def report_scaling(found: dict[str, Any]) -> None:
    """A table of one and two processes."""
    heads = f"{'ms/step':>10}{'efficiency':>12}{'of control':>12}{'weights MiB':>13}{'peak MiB':>10}"
    print(f"\n{'processes':<22}{heads}  (each)")
    for name, row in found.items():
        told = [f"{row[key]:.2f}" if key in row else "" for key in ("efficiency", "beside_control")]
        who = "1" if name == "single" else f"2, {name}"
        print(
            f"{who:<22}{row['seconds'] * 1000:>10.0f}{told[0]:>12}{told[1]:>12}"
            f"{row['weights'] / 2**20:>13.1f}{row['peak'] / 2**20:>10.0f}"
        )


def environment() -> dict[str, Any]:
    """With what it was measured, and how busy the machine was."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    versions = {one.__name__: one.__version__ for one in (torch, lightning, transformers, peft)}
    load = os.getloadavg()[0]
    here = {"commit": commit(), "device": device, "cores": os.cpu_count(), "load": load}
    return here | versions


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--small", action="store_true", help="small models, few turns")
    parser.add_argument("--shape", choices=SHAPES, default="135M")
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed"), default="bf16-mixed")
    parser.add_argument(
        "--only", choices=(*MIXTURES, SCALING), help="one part, beside what was measured before"
    )
    parser.add_argument("--losses", type=int, default=20, help="steps whose losses are compared")
    parser.add_argument("--turns", type=int, help="how often each takes its turn")
    words = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    transformers.utils.logging.disable_progress_bar()
    shape = SHAPES["small" if words.small else words.shape]
    counts = Counts(words.losses, words.turns or (3 if words.small else 5), 2, words.precision)
    file = RESULTS / f"training{'_small' if words.small else ''}.json"
    result: dict[str, Any] = {"shape": shape.name, "precision": counts.precision, "before": environment()}
    if words.only and file.exists():  # the other parts stay as they were measured
        result = json.loads(file.read_text()) | result
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_models(shape, folder)
        result["tokens"] = token_counts(build_collator(shape, folder))
        print(f"{shape.name} models, {shape.image_tokens} image tokens, {counts.precision}")
        print(f"tokens: {result['tokens']}")
        wanted = {words.only} if words.only else {*MIXTURES, SCALING}
        for name, formats in MIXTURES.items():
            if name not in wanted:
                continue
            ways = compare(shape, folder, formats, 2 if len(formats) > 1 else 4, counts)
            result[name] = {"ways": ways, "measured": environment()}
            report(name, ways)
        if SCALING in wanted:
            result[SCALING] = measure_scaling(shape, folder, 2, 3, words.turns or (2 if words.small else 3))
            report_scaling(result[SCALING])
    result["after"] = environment()
    RESULTS.mkdir(exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {file}")


if __name__ == "__main__":
    main()
