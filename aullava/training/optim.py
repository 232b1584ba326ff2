"""AdamW with a learning rate for the projector and one for LoRA, warm-up and cosine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from aullava.config.schema import OptimConfig
from aullava.models.vlm import FaceLanguageModel
from aullava.training.errors import RunError


def warmup_cosine(step: int, steps: int, warmup: float, floor: float) -> float:
    """The factor on the peak learning rate at one step.

    Args:
        step: steps done so far.
        steps: of the whole run.
        warmup: share of the steps over which the factor rises from 0 to 1, linearly.
        floor: factor at the end of the cosine.

    Returns:
        A factor in [0, 1]; never 0 at the first step of a run with warm-up.
    """
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    progress = min(1.0, (step - rising) / max(1, steps - rising))
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))


def build_optimizer(
    model: FaceLanguageModel, settings: OptimConfig, steps: int
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """AdamW over all trainable tensors, one group for the projector and one for LoRA, and its schedule.

    Raises:
        RunError: a trainable tensor belongs to neither: it would silently not be trained.
    """
    on_vision = [one for name, one in model.vision.named_parameters() if "lora_" in name]
    groups = [
        _group("projector", model.projector.parameters(), settings.lr_projector),
        _group("lora", [*on_vision, *model.llm.parameters()], settings.lr_lora),
    ]
    groups = [group for group in groups if group["params"]]  # without an adapter, LoRA has none
    grouped = sum(len(group["params"]) for group in groups)
    trainable = sum(parameter.requires_grad for parameter in model.parameters())
    if grouped != trainable:
        raise RunError(f"{trainable - grouped} trainable tensors are in no parameter group: freeze them")
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    schedule = LambdaLR(optimizer, lambda step: warmup_cosine(step, steps, settings.warmup, settings.min_lr))
    return optimizer, schedule


def _group(name: str, tensors: Iterable[nn.Parameter], rate: float) -> dict[str, Any]:
    trained = [tensor for tensor in tensors if tensor.requires_grad]
    return {"name": name, "params": trained, "lr": rate}
