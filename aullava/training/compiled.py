"""torch.compile of the repeated blocks of the language model, for training."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from aullava.models.vlm import FaceLanguageModel
from aullava.training.strategies import blocks


def compile_blocks(model: FaceLanguageModel, backend: str = "inductor") -> None:
    """Let every block of the language model compile itself when it first learns, in place; names stay.

    The blocks share their code, so that a model of many takes hardly longer than one of two, and lengths are
    symbols: a batch of another length compiles nothing anew. Answers are decoded by the blocks as they were:
    their caches grow, and would compile again and again. The vision encoder stays as it is: where hidden
    states are read off it, the compiler cannot see through transformers, and it is a small part of a step.

    Args:
        model: with its adapters. What all rows begin with is no longer read once, since that needs a cache.
        backend: torch.compile's.
    """
    model.reads_once = False
    for block in blocks(model.llm):
        _compile(block, backend)


def _compile(block: nn.Module, backend: str) -> None:
    plain = block.forward
    compiled = torch.compile(plain, backend=backend, dynamic=True)

    def forward(*args: Any, **kwargs: Any) -> Any:
        return (compiled if torch.is_grad_enabled() else plain)(*args, **kwargs)

    block.forward = forward
