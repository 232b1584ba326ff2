"""The causal language model and its tokenizer, through transformers' Auto classes."""

from __future__ import annotations

from typing import Any, Final

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import is_flash_attn_2_available  # type: ignore[attr-defined]  # public

from aullava.models.errors import ModelError
from aullava.models.folders import LOADING_ERRORS, load_config, load_weights, model_folder
from aullava.models.quantization import quantization_config

_WEIGHTS: Final = (("config.json",), ("*.safetensors",))
_TOKENIZER: Final = (("tokenizer.json", "tokenizer.model", "vocab.json"),)
BASE_TEMPLATE: Final = "base_chat_template.jinja"
"""In a folder that was exported: the chat template of its language model, in place of the export's own."""


def load_llm(
    name: str,
    attn_implementation: str = "sdpa",
    dtype: torch.dtype = torch.float32,
    quantization: str = "none",
) -> PreTrainedModel:
    """Load a causal language model with every weight frozen; an adapter adds what is trained.

    Args:
        name: "tiny", a local folder or a hub id; with config.json and *.safetensors.
        attn_implementation: transformers' word for it: "sdpa", "eager", "flash_attention_2", ...
        dtype: of the frozen weights.
        quantization: "none", or "nf4" for 4 bits (`aullava.models.quantization`).

    Raises:
        MissingModelError: no such folder, or files missing in it.
        ModelError: pickled weights, not a causal language model, or an attention or a quantisation that this
            machine cannot run.
    """
    refuse_attention(attn_implementation)
    options: dict[str, Any] = {"dtype": dtype, "attn_implementation": attn_implementation}
    if quantization != "none":
        options["quantization_config"] = quantization_config(quantization, dtype)
    folder = model_folder(name, "llm", _WEIGHTS)
    model = load_weights(AutoModelForCausalLM, folder, config=load_config(folder), **options)
    return model.requires_grad_(False)


def refuse_attention(implementation: str) -> None:
    """Refuse an attention kernel that is not here; transformers would say so of the model's folder.

    Raises:
        ModelError: flash attention without its package or without a GPU.
    """
    if implementation == "flash_attention_2" and not is_flash_attn_2_available():
        raise ModelError(
            "llm.attention=flash_attention_2 needs the package flash-attn and a GPU for it, and one of them "
            "is not here: write sdpa, which takes PyTorch's own fused kernels"
        )


def checkpoint_activations(llm: PreTrainedModel) -> None:
    """Keep only what enters each block and compute its inside again in the backward pass (training mode)."""
    llm.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})


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
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except LOADING_ERRORS as error:
        raise ModelError(f"the tokenizer in {folder} cannot be read: {error}") from error
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"the tokenizer in {folder} has no end-of-sequence token: "
            "set eos_token in its tokenizer_config.json"
        )
    if (folder / BASE_TEMPLATE).is_file():
        tokenizer.chat_template = (folder / BASE_TEMPLATE).read_text(encoding="utf-8")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
