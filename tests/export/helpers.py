"""Small models of real families, exported into a folder as the verb does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from aullava.export.folder import Exported, write_folder
from aullava.export.verify import Served, Verification
from aullava.models.adapters import add_lora
from aullava.models.folders import quiet
from aullava.models.llm import load_llm, load_tokenizer
from aullava.models.projector import build_projector
from aullava.models.vision import load_preprocessor, load_vision
from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator
from aullava.text.grammar import AnswerForm
from aullava.text.layout import Layout, frame_of
from aullava.text.question import Order, QuestionStyle, asking_text
from aullava.text.tokens import Tokenizer
from aullava.verifying import Asked, before_merging, refuse_other_tokens, verified
from datamodules.action_units import Scale
from tests.checkpoints import faces, trained

ASKED: tuple[Asked, ...] = (
    (Scale.PRESENCE, ("AU1", "AU12")),
    (Scale.LEVEL, ("AU4", "AU6", "AU9")),
    (Scale.INTENSITY, ("AU12L",)),
)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Parts:
    """Folders of the two frozen parts, and how they are joined."""

    vision: Path
    llm: Path
    projector: str = "linear"
    adapter: str = "lora"
    vision_targets: tuple[str, ...] = ()
    layer: int = -2
    tokens: str = "patches"
    dtype: torch.dtype = torch.float32


def build(parts: Parts) -> FaceLanguageModel:
    """A model as after a training, in eval mode."""
    torch.manual_seed(3)
    vision = load_vision(str(parts.vision), parts.layer, parts.dtype, parts.tokens)
    llm: Any = load_llm(str(parts.llm), dtype=parts.dtype)
    projector = build_projector(parts.projector, vision.dim, llm.config.hidden_size)
    for tensor in projector.parameters():
        torch.nn.init.normal_(tensor, std=0.3)
    if parts.adapter != "none":
        llm = add_lora(llm, 4, 8, 0.0, ["all-linear"], parts.adapter)
    if parts.vision_targets:
        tower: Any = vision.model
        vision.model = add_lora(tower, 4, 8, 0.0, parts.vision_targets, parts.adapter)
    return trained(FaceLanguageModel(vision, projector, llm)).eval()


def collator_of(
    parts: Parts, places: int, order: Order = Order.DEFINITIONS_FIRST, layout: Layout = Layout.PLAIN
) -> Collator:
    tokenizer = load_tokenizer(str(parts.llm))
    style = QuestionStyle(order, False, frame_of(layout, tokenizer))
    preprocess = load_preprocessor(str(parts.vision))
    return Collator(cast(Tokenizer, tokenizer), style, AnswerForm.NAMED, places, preprocess, 1024)


def questions(collator: Collator, asked: Sequence[Asked] = ASKED) -> list[dict[str, Any]]:
    return [
        {
            "format": scale.value,
            "aus": list(aus),
            "question": asking_text(aus, scale, collator.style),
            "max_new_tokens": len(collator.prompt(aus, scale).grammar.steps),
        }
        for scale, aus in asked
    ]


@dataclass(frozen=True)
class Outcome:
    """A folder in memory and on disk, and how it compares."""

    written: Exported
    served: Served
    found: Verification


def exported(
    parts: Parts, folder: Path, dtype: torch.dtype = torch.float32, count: int = 3, **style: Any
) -> Outcome:
    """Everything that `aullava export --verify` does to a model."""
    model = build(parts)
    collator = collator_of(parts, model.vision.num_tokens, **style)
    images = [face.image for face in faces(count, "AU1", Scale.PRESENCE)]
    before = before_merging(model, collator, ASKED, images)
    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        written = write_folder(model, collator, questions(collator), dtype, folder)
        served = Served(folder, CPU, model.llm.config._attn_implementation)
    refuse_other_tokens(served, collator, ASKED, written)
    return Outcome(written, served, verified(served, written, collator, ASKED, images, before))
