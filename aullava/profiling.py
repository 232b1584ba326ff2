"""A short run that tells where the time of a training step goes, and how much memory it takes."""

from __future__ import annotations

import resource
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from aullava.batch_size import with_fitting_batch
from aullava.build import build_trainer
from aullava.config.load import Resolved
from aullava.memory_report import estimated
from aullava.parts import fresh_parts
from aullava.training.callbacks.guards import FiniteSteps
from aullava.training.callbacks.profile import PARTS, StepProfile
from aullava.training.callbacks.progress import StepProgress
from aullava.training.processes import joined
from aullava.training.strategies import refuse_machine
from aullava.training.whole import bytes_here

SKIPPED, STEPS = 3, 20


def profile(resolved: Resolved, steps: int = STEPS) -> str:
    """Train a few steps, keep nothing, and say where the time went.

    Args:
        resolved: the experiment; it is neither validated nor saved.
        steps: that are measured, after `SKIPPED` others.

    Returns:
        A table: milliseconds and share of each part of a step, images and answers per second of all
        processes, peak memory of this one beside the estimate of `aullava config --memory`.

    Raises:
        RunError: as for a fit that cannot begin.
    """
    config = resolved.config
    refuse_machine(config)
    with joined(config.strategy, config.trainer.accelerator) as processes:
        parts = fresh_parts(config, processes)
        if config.trainer.find_batch_size:
            config = with_fitting_batch(resolved, parts, processes).config
        few = replace(config.trainer, max_steps=SKIPPED + steps)
        config = replace(config, trainer=few)
        watch = StepProfile(SKIPPED * few.accumulate)
        with tempfile.TemporaryDirectory() as away:
            beside = [StepProgress(refresh_rate=10), FiniteSteps(), watch]
            trainer = build_trainer(config, Path(away), parts.module.model, beside)
            trainer.logger, trainer.limit_val_batches = None, 0
            trainer.fit(parts.module, datamodule=parts.data)
        held = bytes_here(parts.module.model)
    return f"{_table(watch, steps, processes.size, held)}; {estimated(config)}"


def _table(watch: StepProfile, steps: int, processes: int, held: int) -> str:
    """What was measured, for people."""
    whole = sum(watch.seconds.values())
    lines = [f"{'part of a step':<16}{'ms':>10}{'share':>9}"]
    for part in PARTS:
        taken = watch.seconds[part]
        lines.append(f"{part:<16}{taken / steps * 1000:>10.1f}{taken / whole:>8.1%}")
    lines.append(f"{'all':<16}{whole / steps * 1000:>10.1f}{1:>8.0%}")
    images, answers = watch.images * processes / whole, watch.answers * processes / whole
    of = f" in {processes} processes" if processes > 1 else ""
    lines.append(f"{images:.1f} images and {answers:.1f} answers per second{of}, over {steps} steps")
    lines.append(f"weights {held / 2**30:.2f} GiB, peak memory {peak_memory() / 2**30:.2f} GiB (measured)")
    return "\n".join(lines)


def peak_memory() -> int:
    """Bytes that were in use at the most: on the GPU, or of the whole process where there is none."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts kilobytes
