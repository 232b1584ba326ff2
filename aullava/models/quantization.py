"""The frozen language model in 4 bits (QLoRA: Dettmers et al., arXiv 2305.14314), where the machine can."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from aullava.models.errors import ModelError


def quantization_config(kind: str, dtype: torch.dtype) -> Any:
    """What `from_pretrained` needs to quantise weights while it reads them.

    Args:
        kind: "nf4".
        dtype: in which the products are computed.

    Raises:
        ModelError: another word, no bitsandbytes, or no CUDA device.
    """
    if kind != "nf4":
        raise ModelError(f"unknown llm.quantization '{kind}': write none or nf4")
    if find_spec("bitsandbytes") is None:
        raise ModelError("llm.quantization=nf4 needs bitsandbytes: pip install 'aullava[qlora]'")
    if not torch.cuda.is_available():
        raise ModelError("llm.quantization=nf4 needs a CUDA device, and this machine has none: write none")
    config: Any = BitsAndBytesConfig
    return config(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
