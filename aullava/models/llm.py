"""The causal language model, its tokenizer, and LoRA on it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from aullava.models.errors import ModelError, nearest
from aullava.models.folders import LOADING_ERRORS, load_weights, model_folder

_WEIGHTS: Final = (("config.json",), ("*.safetensors",))
_TOKENIZER: Final = (("tokenizer.json", "tokenizer.model", "vocab.json"),)


def load_llm(
    name: str, attn_implementation: str = "sdpa", dtype: torch.dtype = torch.float32
) -> PreTrainedModel:
    """Load a causal language model with every weight frozen; `add_lora` adds what is trained.

    Args:
        name: "tiny" or a local folder with config.json and *.safetensors.
        attn_implementation: transformers' word for it: "sdpa", "eager", "flash_attention_2", ...
        dtype: of the frozen weights.

    Raises:
        MissingModelError: no such folder, or files missing in it.
        ModelError: pickled weights, not a causal language model, or an attention this machine cannot run.
    """
    folder = model_folder(name, "llm", _WEIGHTS)
    model = load_weights(AutoModelForCausalLM, folder, dtype=dtype, attn_implementation=attn_implementation)
    return model.requires_grad_(False)


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a language model; if it has no padding token, its end token pads (it is masked).

    Args:
        name: as for `load_llm`; the folder must hold the tokenizer's files.

    Raises:
        MissingModelError: no such folder or file.
        ModelError: transformers cannot read it, or it has no end-of-sequence token.
    """
    folder = model_folder(name, "llm", _TOKENIZER)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except LOADING_ERRORS as error:
        raise ModelError(f"the tokenizer in {folder} cannot be read: {error}") from error
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"the tokenizer in {folder} has no end-of-sequence token: "
            "set eos_token in its tokenizer_config.json"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def add_lora(llm: PreTrainedModel, r: int, alpha: int, dropout: float, targets: Sequence[str]) -> PeftModel:
    """Put LoRA adapters on the language model alone: trainable and in fp32, everything else stays frozen.

    Args:
        llm: from `load_llm`. It is changed in place.
        r: rank.
        alpha: the update is scaled by alpha / r.
        dropout: on the adapter's input, in training.
        targets: names of layers ("q_proj"), each matched against the end of the module names.

    Raises:
        ModelError: a target matches nothing, or matches a module that LoRA cannot adapt.
    """
    names = [name for name, _ in llm.named_modules()]
    linear = [name for name, module in llm.named_modules() if isinstance(module, nn.Linear)]
    layers = sorted({name.rsplit(".", 1)[-1] for name in linear})
    if not targets:
        raise ModelError(f"adapter.targets is empty: name layers of the language model ({', '.join(layers)})")
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            raise ModelError(
                f"adapter.targets: '{target}' matches no layer of the {type(llm).__name__}: "
                f"did you mean '{nearest(target, layers)}'? (its layers are {', '.join(layers)})"
            )
    config = LoraConfig(
        r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(targets), task_type="CAUSAL_LM"
    )
    try:
        with warnings.catch_warnings():
            # peft 0.21 asks transformers 5 for an attribute by its old name; no user can change that.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
            model = get_peft_model(llm, config)
    except ValueError as error:
        raise ModelError(f"adapter: LoRA cannot be added: {error}") from error
    assert isinstance(model, PeftModel)  # a PeftMixedModel comes only from mixed=True
    return model
