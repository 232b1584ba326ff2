"""The adapter becomes part of the weights, and every part gets the dtype that is written."""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn

from aullava.export.errors import ExportError
from aullava.models.folders import cast_weights
from aullava.models.vlm import FaceLanguageModel


@torch.no_grad()
def merged(model: FaceLanguageModel, dtype: torch.dtype) -> FaceLanguageModel:
    """The model without adapters: their updates are added to the weights, in the wider of the two dtypes.

    Args:
        model: with its trained weights; it is used up.
        dtype: of all weights of the result.

    Raises:
        ExportError: a merged weight would not be finite.
    """
    model.vision.model = _unloaded(model.vision.model, dtype)
    llm = _unloaded(model.llm, dtype)
    for part in (model.vision, model.projector, llm):
        cast_weights(part, dtype)
    return FaceLanguageModel(model.vision, model.projector, llm, model.aligned).eval().requires_grad_(False)


def _unloaded(part: Any, dtype: torch.dtype) -> Any:
    """A part with its adapter merged; as it is, if it has none."""
    if not isinstance(part, PeftModel):
        return part
    base: Any = part.get_base_model()
    cast_weights(part, torch.promote_types(base.dtype, dtype))
    try:
        return part.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise ExportError(f"the adapter cannot be merged: {error}") from error


@torch.no_grad()
def make_room(model: FaceLanguageModel, token_id: int) -> None:
    """Give the embeddings and the head a row for a token that the model never writes.

    The new rows are the mean of all others: such a logit is the mean of the logits and never the largest.
    """
    llm: Any = model.llm
    rows = llm.get_input_embeddings().weight.shape[0]
    if token_id < rows:
        return
    llm.resize_token_embeddings(token_id + 1, mean_resizing=False)
    for layer in (llm.get_input_embeddings(), llm.get_output_embeddings()):
        _fill(layer.weight, rows)
    _fill_bias(llm.get_output_embeddings(), rows)


def _fill(weight: Tensor, rows: int) -> None:
    weight[rows:] = weight[:rows].float().mean(dim=0).to(weight.dtype)


def _fill_bias(head: nn.Module, rows: int) -> None:
    bias = getattr(head, "bias", None)
    if bias is not None:
        _fill(bias, rows)
