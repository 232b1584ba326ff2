"""How the arithmetic of a training step is shared out, before anything is loaded."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoModelForCausalLM

from aullava.models.memory import Step


def vision_share(vision: Any, image_tokens: int, faces: int, language: Any, step: Step) -> float:
    """The share of the vision encoder in the multiplications of a step, between 0 and 1.

    Every weight of a linear layer is multiplied once for a token in the forward pass, and once more in the
    backward pass, which goes through the language model only; of its head, for what is learned. Attention,
    norms and the few trained weights are left out.

    Args:
        vision: config of the encoder, cut above the highest layer that is read.
        image_tokens: of an image, those included that are not given out.
        faces: encoded in a step.
        language: config of the language model.
        step: what it reads.
    """
    auto: Any = AutoModel, AutoModelForCausalLM  # their from_config carries no types
    with torch.device("meta"):
        tower, llm = auto[0].from_config(vision), auto[1].from_config(language)
    head = llm.get_output_embeddings().weight.numel()
    seen = _weights(tower) * image_tokens * faces
    read = 2 * ((_weights(llm) - head) * step.tokens + head * step.supervised) * step.batch
    return float(seen / (seen + read))


def _weights(model: nn.Module) -> int:
    return sum(one.weight.numel() for one in model.modules() if isinstance(one, nn.Linear))
