"""Writes the tiny backbone as Hugging Face folders, the way any other backbone comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionModel,
    GenerationConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from aullava.tiny_backbone.encoder import IMAGE_MEAN, IMAGE_STD


def write_encoder(encoder: CLIPVisionModel, folder: Path) -> None:
    """Weights in half precision (they are read as fp32 again), config, and the image processor."""
    encoder.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
    size = encoder.config.image_size
    assert isinstance(size, int)
    CLIPImageProcessorPil(
        size={"shortest_edge": size},
        crop_size={"height": size, "width": size},
        image_mean=list(IMAGE_MEAN),
        image_std=list(IMAGE_STD),
    ).save_pretrained(folder)


def write_llm(llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Weights in half precision, config, and the tokenizer."""
    build: Any = GenerationConfig  # transformers does not annotate the constructor
    llm.generation_config = build(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    llm.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(folder)
