"""Rows that hold several texts with one beginning: which token sees which, and where it stands in its text.

A row is a trunk and branches behind it. Each token carries a path; 0 on a path means "before the fork". A
token sees what stands before it on its own path, as if the other branches were not there.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from transformers import PreTrainedModel


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


def block_mask(paths: Tensor, start: int = 0) -> BlockMask:
    """What FlexAttention takes for `seen`: blocks of tokens that nobody sees are not computed.

    Args:
        paths: int64 [S, T, D]; S is 1 if they are those of all rows of a batch.
        start: how many tokens at the beginning are only seen, since their keys and values are known.
    """
    texts, length, forks = paths.shape

    def sees(text: Tensor, head: Tensor, mine: Tensor, theirs: Tensor) -> Tensor:
        text = text % texts  # of one, the kernel takes it for every row of a batch
        found = theirs <= mine + start
        for fork in range(forks):
            branch = paths[text, theirs, fork]
            found = found & ((branch == 0) | (branch == paths[text, mine + start, fork]))
        return found

    return create_block_mask(sees, texts, None, length - start, length, device=paths.device)


def reading(llm: PreTrainedModel | PeftModel, paths: Tensor, start: int = 0) -> dict[str, Any]:
    """How a language model is told what a token sees and where it stands, in the words of its attention.

    Args:
        llm: which.
        paths: int64 [S, T, D]; S is 1 if they are those of all rows of a batch.
        start: tokens at the beginning that its cache holds already.

    Returns:
        ``attention_mask`` of the tokens from `start` on, towards all, and ``position_ids`` [S, T - start].
    """
    sight, kind = seen(paths)[:, start:], llm.config._attn_implementation
    mask: Tensor | BlockMask
    if kind == "flex_attention":
        mask = block_mask(paths, start)
    elif kind == "sdpa":
        mask = sight.unsqueeze(1)
    else:  # a number that is added
        dtype = torch.float32 if torch.is_autocast_enabled(sight.device.type) else llm.dtype
        mask = additive(sight, dtype).unsqueeze(1)
    return {"attention_mask": mask, "position_ids": places(sight)}
