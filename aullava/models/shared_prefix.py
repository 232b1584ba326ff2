"""What all rows of a batch begin with is read once: their keys and values are the same in every row.

With the definitions before the image, the rows of a training batch (one question, many faces) have them in
common. A causal model's keys and values of a text depend on nothing behind it, so the sums are the same,
gradients included, and the batch costs that many tokens less.
"""

from __future__ import annotations

from typing import Final

from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

SHORTEST: Final = 8
"""A shorter common beginning saves less than a second pass through the layers costs."""


def common_length(input_ids: Tensor, image_mask: Tensor) -> int:
    """How many leading ids are the same in all rows and stand before any image.

    Args:
        input_ids: int64 [B, T].
        image_mask: bool [B, T].
    """
    differs = ((input_ids != input_ids[:1]) | image_mask).any(dim=0)
    return int(differs.int().argmax()) if bool(differs.any()) else input_ids.shape[1]


def read_once(llm: PreTrainedModel | PeftModel, beginning: Tensor, rows: int) -> DynamicCache:
    """Keys and values of a beginning, for every row of a batch; gradients flow back through them.

    Args:
        llm: the language model.
        beginning: its embeddings [1, P, D].
        rows: B.
    """
    cache = DynamicCache(config=llm.config)
    llm(inputs_embeds=beginning, past_key_values=cache, use_cache=True, logits_to_keep=1)
    cache.batch_repeat_interleave(rows)
    return cache
