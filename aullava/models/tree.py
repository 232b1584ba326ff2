"""Rows that hold several texts with one beginning: which token sees which, and where it stands in its text.

A row is a trunk and branches behind it. Each token carries a path; 0 on a path means "before the fork". A
token sees what stands before it on its own path, as if the other branches were not there.
"""

from __future__ import annotations

import torch
from torch import Tensor


def seen(paths: Tensor) -> Tensor:
    """Which token sees which.

    Args:
        paths: int64 [..., T, D]: for each of D forks the branch that a token belongs to, 0 before the fork. A
            branch of its own (such as -1 for padding) is seen by nobody else.

    Returns:
        bool [..., T, T]; every token sees itself.
    """
    length = paths.shape[-2]
    earlier = torch.ones(length, length, dtype=torch.bool, device=paths.device).tril()
    theirs, mine = paths.unsqueeze(-3), paths.unsqueeze(-2)
    return earlier & ((theirs == 0) | (theirs == mine)).all(dim=-1)


def places(sight: Tensor) -> Tensor:
    """[..., T] int64: the place of each token in its own text, from what it sees [..., T, T]."""
    return sight.sum(dim=-1) - 1


def additive(sight: Tensor, dtype: torch.dtype) -> Tensor:
    """`sight` [..., Q, K] as what is added to attention's scores: 0 where seen, -inf elsewhere.

    A mask of booleans would be added as zeros and ones by eager attention.
    """
    return torch.zeros(sight.shape, dtype=dtype, device=sight.device).masked_fill(~sight, -torch.inf)
