"""The largest batch that fits into memory, and how many of them make up a step."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from aullava.config.load import Resolved
from aullava.memory_report import estimated
from aullava.parts import Parts
from aullava.text.batch import AUBatch
from aullava.training.errors import RunError
from aullava.training.processes import Processes, device_of
from aullava.training.random_state import random_state, set_random_state
from datamodules.base import AUDataModule
from datamodules.together import Together

ROOM = 0.9
"""Share of the free memory that may be taken: the rest is for what others take and for fragments."""
_PROBE = 4


def with_fitting_batch(resolved: Resolved, parts: Parts, processes: Processes) -> Resolved:
    """The config with the largest batch that fits; the images of a step stay as many as they are.

    One step of learning is measured at two sizes, without changing anything; memory grows evenly with the
    batch. The largest size that should fit is tried before it is taken.

    Args:
        resolved: what the user wants: data.batch_size x trainer.accumulate images a step.
        parts: of the run; its data get the size that was found.
        processes: of the job.

    Raises:
        RunError: not even one image fits.
    """
    config = resolved.config
    images = config.data.batch_size * config.trainer.accumulate
    state = random_state()
    settings = config.trainer
    size, peak = _largest(images, settings.precision, settings.accelerator, parts, processes.size)
    found = processes.least(size)
    set_random_state(state)  # as if nothing had been measured
    parts.data.loading = replace(parts.data.loading, batch_size=found)
    print(f"batches of {found} images fit; {images // found} of them make up a step of {images}")
    places = dict.fromkeys(("data.batch_size", "trainer.accumulate"), "found by trainer.find_batch_size")
    trainer = replace(config.trainer, accumulate=images // found, find_batch_size=False)
    config = replace(config, data=replace(config.data, batch_size=found), trainer=trainer)
    print(f"peak memory of such a step: {peak / 2**30:.2f} GiB (measured); {estimated(config)}")
    return replace(resolved, config=config, provenance={**resolved.provenance, **places})


def _largest(images: int, precision: str, accelerator: str, parts: Parts, sharing: int) -> tuple[int, float]:
    """The largest divisor of `images` whose step fits, and the bytes in use in it at the most.

    So many processes share the memory of a CPU.
    """
    device = device_of(accelerator)
    parts.module.to(device)
    drawn = max(parts.data.drawn, key=lambda one: sum(_tokens(parts, asked) for asked in one.members))
    probe = min(_PROBE, images)
    step = _Step(parts, drawn, device, precision)
    small, large = step.peak(1), step.peak(probe)
    if small is None:
        raise RunError("not even one image fits into memory: write llm.gradient_checkpointing=true")
    slope = 0.0 if large is None or probe == 1 else max(0.0, (large - small) / (probe - 1))
    most = min(images, *(len(one.rows("train")) // sharing for one in parts.data.members))
    sizes = [size for size in range(most, 1, -1) if images % size == 0]
    limit = _budget(device, sharing)
    for size in sizes:
        if small + slope * (size - 1) <= limit:
            peak = step.peak(size)
            if peak is not None and peak <= limit:
                return size, peak
    return 1, small


class _Step:
    """Forward and backward pass over some images of one dataset."""

    def __init__(self, parts: Parts, drawn: Together, device: torch.device, precision: str) -> None:
        self.parts, self.drawn, self.device = parts, drawn, device
        self.mixed = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)

    def peak(self, size: int) -> float | None:
        """Bytes in use at the most, the optimiser's moments to come included; None: they were not there."""
        module = self.parts.module
        rows = self.drawn.dataset.rows("train", size)
        samples = [asked for row in rows for asked in self.drawn.training_samples(row, seed=0)]
        batch = module.collator(samples).to(self.device)
        _forget_peak(self.device)
        try:
            self._loss(batch).backward()  # type: ignore[no-untyped-call]  # PyTorch's own
        except RuntimeError as error:  # out of memory on a GPU, or an allocation that the system refuses
            if not isinstance(error, torch.cuda.OutOfMemoryError) and "allocate memory" not in str(error):
                raise
            return None
        finally:
            module.zero_grad(set_to_none=True)
        return _peak(self.device) + 2.0 * _trained_bytes(module)

    def _loss(self, batch: AUBatch) -> Tensor:
        mixed = nullcontext() if self.mixed is None else torch.autocast(self.device.type, self.mixed)
        with mixed:
            loss = self.parts.module.model(**batch.inputs()).loss
        assert isinstance(loss, Tensor)
        return loss


def _tokens(parts: Parts, member: AUDataModule) -> int:
    prompt = parts.module.collator.prompt(member.asked_aus, member.coded_scale())
    return len(prompt.ids) + len(prompt.grammar.steps)


def _trained_bytes(module: nn.Module) -> int:
    return sum(one.numel() * one.element_size() for one in module.parameters() if one.requires_grad)


def _budget(device: torch.device, sharing: int) -> float:
    """Bytes that this process may have in use in all."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return ROOM * torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    free = _kilobytes("/proc/meminfo", "MemAvailable") / sharing
    return ROOM * free + _kilobytes("/proc/self/status", "VmRSS")


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # "5" resets VmHWM: man 5 proc


def _peak(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_reserved(device))
    return _kilobytes("/proc/self/status", "VmHWM")


def _kilobytes(file: str, name: str) -> float:
    """A value of Linux's tables, in bytes."""
    lines = Path(file).read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
