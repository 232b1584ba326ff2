"""Baselines that never look at the picture: the floor that every result stands on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aullava.evaluation.scores import PRESENT_FROM
from datamodules.action_units import UNKNOWN, Scale


def always_present(rows: int, columns: int, scale: Scale) -> Tensor:
    """Every Action Unit present in every image: the floor of F1.

    Args:
        rows: number of images N.
        columns: number of Action Units A.
        scale: of the answers.

    Returns:
        float32 [N, A]: 1 for presence, 2 (the smallest level that counts as present) for levels.

    Raises:
        ValueError: intensities, which have no presence.
    """
    if scale not in PRESENT_FROM:
        raise ValueError(f"Expected presence or level, but got {scale}, which does not say what is present")
    return torch.full((rows, columns), float(math.ceil(PRESENT_FROM[scale])))


def always_zero(rows: int, columns: int) -> Tensor:
    """No Action Unit in any image: the answer that small mean errors on sparse labels are measured against.

    Args:
        rows: number of images N.
        columns: number of Action Units A.

    Returns:
        float32 [N, A], all 0.
    """
    return torch.zeros(rows, columns)


def training_mean(target: Tensor, rows: int, scale: Scale) -> Tensor:
    """What the training people show on average, for every image.

    Args:
        target: float [M, A], the training labels, UNKNOWN where not coded.
        rows: number of images N.
        scale: of the labels.

    Returns:
        float32 [N, A]: the mean of the known labels of each Action Unit, not rounded; for presence the more
        frequent answer. 0 for an Action Unit without a known label.
    """
    known = target != UNKNOWN
    mean = (target * known).sum(0, dtype=torch.float64) / known.sum(0).clamp(min=1)
    if scale is Scale.PRESENCE:
        mean = (mean > 0.5).to(mean)
    return mean.to(torch.float32).repeat(rows, 1)
