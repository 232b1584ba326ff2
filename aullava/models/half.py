"""Frozen weights in the precision in which they are used."""

from __future__ import annotations

import torch
from torch import nn

from aullava.models.vlm import FaceLanguageModel


def hold_in_half(model: FaceLanguageModel, dtype: torch.dtype) -> None:
    """Keep the frozen linear layers in the dtype that mixed precision turns them into at every pass.

    The products are the same to the last bit. What goes is the fp32 copy, the conversion of every weight in
    every pass, and the converted copies that the backward pass would keep. Afterwards the model computes
    under autocast only. Left alone: embeddings and norms, which autocast does not convert, a head that is the
    embedding table, and layers under DoRA, which adds up the squares of the weights.

    Args:
        model: changed in place.
        dtype: of the products, torch.bfloat16 or torch.float16.
    """
    table = model.llm.get_input_embeddings().weight
    for part in (model.vision, model.llm):
        if any("magnitude" in name for name, _ in part.named_parameters()):
            continue
        for layer in part.modules():
            if isinstance(layer, nn.Linear) and layer.weight is not table and _frozen_fp32(layer):
                layer.to(dtype)


def _frozen_fp32(layer: nn.Linear) -> bool:
    return all(one.dtype == torch.float32 and not one.requires_grad for one in layer.parameters())
