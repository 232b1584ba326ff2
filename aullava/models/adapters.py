"""Adapters by PEFT on the language model, and if asked for on the vision encoder: LoRA, rsLoRA and DoRA."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from aullava.models.errors import ModelError, nearest

ADAPTERS: Final[dict[str, dict[str, Any]]] = {
    "lora": {},  # Hu et al., arXiv 2106.09685
    "rslora": {"use_rslora": True},  # Kalajdzievski, arXiv 2312.03732
    "dora": {"use_dora": True},  # Liu et al., arXiv 2402.09353
}
"""Kinds of adapters, as options of PEFT's `LoraConfig`."""
ALL_LINEAR: Final = "all-linear"
"""PEFT's word for every linear layer but the head."""


def add_lora(
    model: PreTrainedModel,
    r: int,
    alpha: int,
    dropout: float,
    targets: Sequence[str],
    kind: str = "lora",
    key: str = "adapter.targets",
) -> PeftModel:
    """Put adapters on one model alone: trainable and in fp32, everything else stays frozen.

    Args:
        model: the language model, or the model of a `VisionEncoder`. It is changed in place.
        r: rank.
        alpha: the update is scaled by alpha / r, for rsLoRA by alpha / sqrt(r).
        dropout: on the adapter's input, in training.
        targets: names of layers ("q_proj"), each matched against the end of the module names; "all-linear"
            alone is every linear layer but the head.
        kind: one of `ADAPTERS`.
        key: by which the configuration calls the targets, for messages.

    Raises:
        ModelError: a target matches nothing, or matches a module that LoRA cannot adapt, or `kind` is
            another word.
    """
    if kind not in ADAPTERS:
        raise ModelError(f"unknown adapter.kind '{kind}': did you mean '{nearest(kind, ADAPTERS)}'?")
    config = LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=_known_targets(model, targets, key),
        task_type="CAUSAL_LM" if model.can_generate() else None,
        **ADAPTERS[kind],
    )
    try:
        with warnings.catch_warnings():
            # peft 0.21 asks transformers 5 for an attribute by its old name; no user can change that.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
            adapted = get_peft_model(model, config)
    except ValueError as error:
        raise ModelError(f"adapter: LoRA cannot be added: {error}") from error
    assert isinstance(adapted, PeftModel)  # a PeftMixedModel comes only from mixed=True
    return adapted


def _known_targets(model: PreTrainedModel, targets: Sequence[str], key: str) -> str | list[str]:
    """The targets as PEFT takes them; each must match a layer."""
    if list(targets) == [ALL_LINEAR]:
        return ALL_LINEAR
    names = [name for name, _ in model.named_modules()]
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    layers = sorted({name.rsplit(".", 1)[-1] for name in linear})
    if not targets:
        raise ModelError(f"{key} is empty: name layers of the {type(model).__name__} ({', '.join(layers)})")
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            raise ModelError(
                f"{key}: '{target}' matches no layer of the {type(model).__name__}: "
                f"did you mean '{nearest(target, layers)}'? (its layers are {', '.join(layers)})"
            )
    return list(targets)
