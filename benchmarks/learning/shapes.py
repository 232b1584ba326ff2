"""Random models of real shapes, written as folders that every library reads, and what they are asked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from aullava.models.llm import load_tokenizer
from aullava.models.vision import load_preprocessor
from aullava.text.collate import Collator
from aullava.text.grammar import AnswerForm
from aullava.text.question import QuestionStyle
from datamodules.action_units import BP4D_AUS, Scale
from datamodules.sample import AUSample

LAYER = -2
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
RANK, ALPHA, RATE = 16, 32, 1e-3
CODES = tuple(BP4D_AUS)
FORMATS = {Scale.PRESENCE: (2, 1), Scale.LEVEL: (6, 1), Scale.INTENSITY: (101, 100)}
"""Of each format: number of values, and by what they are divided."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a vision encoder and of a language model."""

    name: str
    vision_width: int
    vision_layers: int
    width: int
    layers: int
    heads: int
    vocabulary: int
    image: int = 224
    patch: int = 16

    @property
    def image_tokens(self) -> int:
        """Patches of an image."""
        return (self.image // self.patch) ** 2


SHAPES = {
    "135M": Shape("135M", 384, 12, 768, 12, 12, 32000),
    "small": Shape("small", 192, 4, 384, 4, 6, 8000, image=128),
}


def write_models(shape: Shape, folder: Path) -> None:
    """Write ``vision`` and ``llm`` with random weights below a folder."""
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=shape.vision_width,
        intermediate_size=4 * shape.vision_width,
        num_hidden_layers=shape.vision_layers,
        num_attention_heads=6,
        image_size=shape.image,
        patch_size=shape.patch,
    )
    CLIPVisionModel(vision).save_pretrained(folder / "vision")
    size = {"height": shape.image, "width": shape.image}
    processor = CLIPImageProcessorPil(size={"shortest_edge": shape.image}, crop_size=size)
    processor.save_pretrained(folder / "vision")
    tokenizer = load_tokenizer("tiny")
    llm = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=8 * shape.width // 3,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=4096,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(llm).save_pretrained(folder / "llm")
    tokenizer.save_pretrained(folder / "llm")


def build_collator(shape: Shape, folder: Path) -> Collator:
    """Questions as shipped: with the definition of every Action Unit, before the image."""
    tokenizer = load_tokenizer(str(folder / "llm"))
    preprocess = load_preprocessor(str(folder / "vision"))
    return Collator(tokenizer, QuestionStyle(), AnswerForm.NAMED, shape.image_tokens, preprocess, 4096)


def asked(shape: Shape, formats: tuple[Scale, ...], seed: int) -> Iterator[AUSample]:
    """Endless noise pictures with random labels: every picture in each of the formats, one by one."""
    generator = np.random.default_rng(seed)
    for number in itertools.count():
        picture = generator.integers(0, 256, (shape.image, shape.image, 3), dtype=np.uint8)
        for scale in formats:
            values, unit = FORMATS[scale]
            labels = (generator.integers(0, values, len(CODES)) / unit).astype(np.float32)
            yield AUSample(str(number), "noise", f"noise:{number}", picture, CODES, labels, scale)


def token_counts(collator: Collator) -> dict[str, dict[str, int]]:
    """Tokens of the question, image among them, and of the answer in each format."""
    found = {}
    for scale in FORMATS:
        prompt = collator.prompt(CODES, scale)
        found[scale.value] = {"question": len(prompt.ids), "answer": len(prompt.grammar.steps)}
    return found
