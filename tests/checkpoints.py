"""Writes tiny checkpoints with random weights in the real formats, and builds models of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from aullava.models.llm import add_lora, load_llm, load_tokenizer
from aullava.models.projector import build_projector
from aullava.models.vision import load_preprocessor, load_vision
from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator
from aullava.text.grammar import AnswerForm
from aullava.text.question import QuestionStyle
from datamodules.action_units import Scale

IMAGE, PATCH, WIDTH, LAYERS = 48, 12, 32, 2
IMAGE_TOKENS = (IMAGE // PATCH) ** 2
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Backbone:
    """Folders of a vision encoder and of a language model."""

    vision: str
    llm: str


@dataclass(frozen=True)
class Face:
    """The fields of a sample that the text room asks for."""

    sample_id: str
    image: np.ndarray[Any, np.dtype[np.uint8]]
    aus: tuple[str, ...]
    labels: np.ndarray[Any, np.dtype[np.float32]]
    scale: Scale
    dataset: str = "faces"
    subject: str = "s1"


def write_backbone(root: Path) -> Backbone:
    torch.manual_seed(7)
    vision, llm = root / "vision", root / "llm"
    write_vision(vision)
    tokenizer = write_tokenizer(llm)
    write_llm(llm, len(tokenizer))
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


def write_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Byte-level BPE that splits digits, trained on words of the questions."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>", "<pad>", "<spare>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = "Read the facial Action Units of this person. Answer with a level: AU1: 0, AU2: 1, brow raiser"
    bpe.train_from_iterator([text], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_llm(folder: Path, vocabulary: int) -> None:
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        # Strong weights, so that random models have something to say: no two answers hang on the last bit.
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def build_model(
    backbone: Backbone,
    kind: str = "linear",
    layer: int = -1,
    targets: Sequence[str] = TARGETS,
    dropout: float = 0.0,
    wake: bool = True,
    dtype: torch.dtype = torch.float32,
) -> FaceLanguageModel:
    """A model in eval mode; `wake` gives LoRA's B, which begins as zero, random weights."""
    vision, llm = load_vision(backbone.vision, layer, dtype), load_llm(backbone.llm, dtype=dtype)
    projector = build_projector(kind, vision.dim, WIDTH)
    model = FaceLanguageModel(
        vision, projector, add_lora(llm, 4, 8, dropout, targets) if targets else llm
    )
    if wake:
        with torch.no_grad():
            for name, tensor in model.named_parameters():
                if "lora_B" in name:
                    tensor.normal_(std=0.1)
    return model.eval()


def build_collator(backbone: Backbone, form: AnswerForm = AnswerForm.NAMED) -> Collator:
    return Collator(
        load_tokenizer(backbone.llm),  # type: ignore[arg-type]  # decode returns more than a protocol may say
        QuestionStyle(definitions=False),
        form,
        IMAGE_TOKENS,
        load_preprocessor(backbone.vision),
        max_length=1024,
    )


def faces(count: int, aus: Sequence[str], scale: Scale, seed: int = 0) -> list[Face]:
    """Noise pictures with random labels."""
    rng = np.random.default_rng(seed)
    top = {Scale.PRESENCE: 2, Scale.LEVEL: 6, Scale.INTENSITY: 101}[scale]
    return [
        Face(
            f"{scale}-{seed}-{i}",
            rng.integers(0, 256, (IMAGE, IMAGE, 3), dtype=np.uint8),
            tuple(aus),
            (rng.integers(0, top, len(aus)) / (100 if scale is Scale.INTENSITY else 1)).astype(np.float32),
            scale,
        )
        for i in range(count)
    ]
