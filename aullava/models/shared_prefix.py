"""What rows of a batch have in common is read once: its keys and values are the same in every row.

With the definitions before the image, the rows of a training batch (one question, many faces) begin alike,
and the questions about one face go on alike to the end of its image. A causal model's keys and values of a
text depend on nothing behind it, so losses and gradients are the same, and the batch costs less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

SHORTEST: Final = 8
"""A shorter common part saves less than a pass of its own through the layers costs."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Which tokens of a batch are read once.

    Attributes:
        by_all: so many at the beginning are the same in all rows.
        by_picture: so many, those included, are the same in all rows about one picture.
        pictures: of the batch; its rows stand picture by picture, as many for each.
    """

    by_all: int
    by_picture: int
    pictures: int

    @classmethod
    def of(cls, input_ids: Tensor, image_mask: Tensor, supervised: Tensor, pictures: Tensor) -> Shared:
        """Find what is worth reading once.

        Args:
            input_ids: int64 [B, T].
            image_mask: bool [B, T].
            supervised: bool [B, T], the positions whose logits are wanted, which every row reads for itself.
            pictures: int64 [B], the picture of each row.
        """
        rows, count = len(input_ids), int(pictures.max()) + 1
        by_all = common_length(input_ids, image_mask | supervised, torch.zeros_like(pictures))
        by_all = by_all if by_all >= SHORTEST and rows > 1 else 0
        in_turn = torch.arange(count, device=pictures.device).repeat_interleave(rows // count)
        if count == rows or not torch.equal(pictures, in_turn):
            return cls(by_all, by_all, count)
        by_picture = common_length(input_ids, supervised, pictures)
        return cls(by_all, by_picture if by_picture - by_all >= SHORTEST else by_all, count)


def common_length(input_ids: Tensor, ends: Tensor, groups: Tensor) -> int:
    """How many leading ids are the same in all rows of every group.

    Args:
        input_ids: int64 [B, T].
        ends: bool [B, T]; the common part ends before the first of them.
        groups: int64 [B], the group of each row, from 0.
    """
    number = torch.arange(len(groups), device=groups.device)
    leaders = number.new_full((int(groups.max()) + 1,), len(groups)).scatter_reduce(0, groups, number, "amin")
    differs = ((input_ids != input_ids[leaders[groups]]) | ends).any(dim=0)
    return int(differs.int().argmax()) if bool(differs.any()) else input_ids.shape[1]


def read_shared(llm: PreTrainedModel | PeftModel, embeddings: Tensor, shared: Shared) -> DynamicCache | None:
    """Keys and values of the common parts, for every row; gradients flow back through them.

    Args:
        llm: the language model.
        embeddings: of the whole batch [B, T, D].
        shared: what is read once.

    Returns:
        The cache behind which the rows go on at position ``shared.by_picture``; None if nothing is shared.
    """
    if not shared.by_picture:
        return None
    cache = DynamicCache(config=llm.config)
    rows, pictures = len(embeddings), shared.pictures
    if shared.by_all:
        _read(llm, embeddings[:1, : shared.by_all], cache)
        cache.batch_repeat_interleave(pictures if shared.by_picture > shared.by_all else rows)
    if shared.by_picture > shared.by_all:
        _read(llm, embeddings[:: rows // pictures, shared.by_all : shared.by_picture], cache)
        cache.batch_repeat_interleave(rows // pictures)
    return cache


def _read(llm: PreTrainedModel | PeftModel, embeddings: Tensor, cache: DynamicCache) -> None:
    llm(inputs_embeds=embeddings, past_key_values=cache, use_cache=True, logits_to_keep=1)
