"""Writes tiny checkpoints with random weights in the real formats, and builds models of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from aullava.models.adapters import add_lora
from aullava.models.llm import load_llm, load_tokenizer
from aullava.models.projector import build_projector
from aullava.models.vision import load_preprocessor, load_vision
from aullava.models.vlm import FaceLanguageModel, Output
from aullava.text.batch import AUBatch, PromptBatch
from aullava.text.collate import Collator
from aullava.text.grammar import AnswerForm
from aullava.text.question import Order, QuestionStyle
from aullava.text.tokens import Tokenizer
from datamodules.action_units import Scale
from tests.text.helpers import Face, byte_level_bpe

IMAGE, PATCH, WIDTH, LAYERS = 48, 12, 32, 2
IMAGE_TOKENS = (IMAGE // PATCH) ** 2
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Backbone:
    """Folders of a vision encoder and of a language model."""

    vision: str
    llm: str


def write_backbone(root: Path) -> Backbone:
    torch.manual_seed(7)
    vision, llm = root / "vision", root / "llm"
    write_vision(vision)
    tokenizer: Any = byte_level_bpe(bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<spare>")
    tokenizer.save_pretrained(llm)
    write_llm(llm, tokenizer)
    return Backbone(str(vision), str(llm))


def write_vision(folder: Path) -> None:
    config = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        image_size=IMAGE,
        patch_size=PATCH,
    )
    CLIPVisionModel(config).save_pretrained(folder)
    crop = {"height": IMAGE, "width": IMAGE}
    CLIPImageProcessorPil(size={"shortest_edge": IMAGE}, crop_size=crop).save_pretrained(folder)


def write_llm(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        # Strong weights, so that random models have something to say: no answer hangs on the last bit.
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def build_model(
    backbone: Backbone,
    kind: str = "linear",
    layers: int | Sequence[int] = -1,
    targets: Sequence[str] = TARGETS,
    dropout: float = 0.0,
    dtype: torch.dtype = torch.float32,
) -> FaceLanguageModel:
    """A model in eval mode with fresh adapters (none without targets)."""
    vision, llm = load_vision(backbone.vision, layers, dtype), load_llm(backbone.llm, dtype=dtype)
    projector = build_projector(kind, vision.dim, WIDTH)
    adapted = add_lora(llm, 4, 8, dropout, targets) if targets else llm
    return FaceLanguageModel(vision, projector, adapted).eval()


def trained(model: FaceLanguageModel) -> FaceLanguageModel:
    """The model with random weights in LoRA's B, which begins as zero: as if it had been trained."""
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "lora_B" in name:
                tensor.normal_(std=0.1)
    return model


def build_collator(
    backbone: Backbone,
    form: AnswerForm = AnswerForm.NAMED,
    definitions: bool = False,
    order: Order = Order.DEFINITIONS_FIRST,
    independent: bool = False,
) -> Collator:
    tokenizer = cast(Tokenizer, load_tokenizer(backbone.llm))
    preprocess = load_preprocessor(backbone.vision)
    style = QuestionStyle(order=order, definitions=definitions)
    return Collator(tokenizer, style, form, IMAGE_TOKENS, preprocess, 1024, independent)


def faces(count: int, aus: str, scale: Scale, seed: int = 0) -> list[Face]:
    """Noise pictures with random labels."""
    rng = np.random.default_rng(seed)
    codes = tuple(aus.split())
    top, unit = {Scale.PRESENCE: (2, 1), Scale.LEVEL: (6, 1), Scale.INTENSITY: (101, 100)}[scale]
    return [
        Face(
            f"{scale}-{seed}-{number}",
            codes,
            (rng.integers(0, top, len(codes)) / unit).astype(np.float32),
            scale,
            image=rng.integers(0, 256, (IMAGE, IMAGE, 3), dtype=np.uint8),
        )
        for number in range(count)
    ]


def run(model: FaceLanguageModel, batch: PromptBatch, labels: Tensor | None = None) -> Output:
    """A forward pass of a batch, with its own labels if it has some."""
    if labels is None and isinstance(batch, AUBatch):
        labels = batch.labels
    pictures = batch.pictures if isinstance(batch, AUBatch) else None
    branches = batch.branches if isinstance(batch, AUBatch) else None
    inputs = batch.pixel_values, batch.input_ids, batch.image_mask, batch.attention_mask
    output: Output = model(*inputs, labels, pictures, None, branches)
    return output
