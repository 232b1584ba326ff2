"""How both parts of the tiny backbone learn: AdamW, warm-up, cosine, in one process or several."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from aullava.training.processes import mean_gradients

SMOOTHING: Final = 0.02
"""Share of a step's loss in the running loss that is printed."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Steps, and the learning rate at each.

    Attributes:
        steps: in all.
        peak: highest learning rate.
        warmup: steps over which it rises.
        floor: share of the peak at the end.
        weight_decay: of all weights.
    """

    steps: int
    peak: float
    warmup: int
    floor: float
    weight_decay: float

    def rate(self, step: int) -> float:
        """The learning rate at a step: it rises, but never above the cosine that falls all the time."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))
        return self.peak * min((step + 1) / self.warmup, self.floor + (1 - self.floor) * cosine)


def learn(name: str, model: nn.Module, losses: Iterator[tuple[Tensor, float]], schedule: Schedule) -> None:
    """Minimise losses.

    Args:
        name: of what learns, for the lines that say how far it is.
        model: changed in place.
        losses: endless; each is computed when it is asked for: what to minimise, and what to print of it.
        schedule: how long and how fast.
    """
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=1.0, betas=(0.9, 0.95), weight_decay=schedule.weight_decay, fused=True
    )
    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, schedule.rate)
    start, running = time.monotonic(), math.nan
    for step, (loss, shown) in zip(range(schedule.steps), losses, strict=False):
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        mean_gradients(model)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        rates.step()
        running = shown if math.isnan(running) else running + SMOOTHING * (shown - running)
        if step % 100 == 99:
            seconds = time.monotonic() - start
            print(f"{name} step {step + 1}/{schedule.steps}  loss {running:.4f}  {seconds:.0f} s", flush=True)
