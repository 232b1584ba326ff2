"""The folder: what `LlavaForConditionalGeneration.from_pretrained` and the servers built on it read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from transformers import LlavaProcessor, PreTrainedTokenizerFast

from aullava.export.chat_template import chat_template
from aullava.export.errors import ExportError
from aullava.export.llava import as_llava, dropped
from aullava.export.merge import make_room, merged
from aullava.export.tokenizer import IMAGE_TOKEN, exported_tokenizer
from aullava.models.llm import BASE_TEMPLATE
from aullava.models.vision import ImagePreprocessor
from aullava.models.vision_kinds import patches
from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator

QUESTIONS: Final = "questions.json"
"""What the model was trained to be asked: format, codes, words, length of the answer in tokens."""
SHARD: Final = "4GB"
"""Largest file of weights."""
_PORTABLE: Final = {
    "TokenizersBackend": "PreTrainedTokenizerFast",
    "CLIPImageProcessorPil": "CLIPImageProcessor",
    "SiglipImageProcessorPil": "SiglipImageProcessor",
    "BitImageProcessorPil": "BitImageProcessor",
}
"""Class names that only transformers 5 writes -> those that 4 and 5 read; 5 finds its PIL class by itself."""
_CLOSE: Final = 1e-3
"""How far logits of fp32 weights may be apart before the architecture cannot be the same."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, still in memory.

    Attributes:
        model: ours, merged and cast: what the folder must compute.
        tokenizer: the folder's.
        image_id: the image token.
    """

    model: FaceLanguageModel
    tokenizer: PreTrainedTokenizerFast
    image_id: int


def write_folder(
    model: FaceLanguageModel,
    collator: Collator,
    questions: Sequence[Mapping[str, Any]],
    dtype: torch.dtype,
    folder: Path,
) -> Exported:
    """Write weights, configs, processor, tokenizer, chat template and questions.

    Args:
        model: with its trained weights; it is used up.
        collator: of the run.
        questions: what is asked, as `QUESTIONS` holds it.
        dtype: of the weights.
        folder: exists and is empty.

    Raises:
        ExportError: the model has parts that a LLaVA has not, or computes something else as one.
    """
    preprocess: Any = collator.preprocess
    if not isinstance(preprocess, ImagePreprocessor) or not hasattr(model.vision.model.config, "patch_size"):
        raise ExportError(
            f"a {type(model.vision.model).__name__} cannot be the vision tower of a LLaVA: "
            "only the run itself can be used"
        )
    ours: Any = collator.tokenizer
    tokenizer: Any = exported_tokenizer(ours)
    image_id = int(tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))
    model = merged(model, dtype)
    make_room(model, image_id)
    llava = as_llava(model, image_id)
    _same(llava, model, preprocess.size, image_id)
    grid = patches(model.vision.model.config, preprocess.size)
    begin = tokenizer.bos_token if tokenizer.bos_token_id is not None else ""
    build: Any = LlavaProcessor  # transformers does not annotate the constructor
    processor = build(
        image_processor=preprocess.processor,
        tokenizer=tokenizer,
        patch_size=model.vision.model.config.patch_size,
        vision_feature_select_strategy=dropped(model),
        num_additional_image_tokens=model.vision.num_tokens + model.vision.prefix_tokens - grid,
        image_token=IMAGE_TOKEN,
        chat_template=chat_template(collator.style.order, collator.style.frame, begin),
    )
    generation = llava.generation_config
    generation.bos_token_id, generation.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    generation.pad_token_id = tokenizer.pad_token_id
    generation.max_new_tokens = max(int(one["max_new_tokens"]) for one in questions)
    llava.save_pretrained(folder, max_shard_size=SHARD)
    for weights in folder.glob("*.safetensors"):  # written for their owner alone; a server is another user
        weights.chmod((folder / "config.json").stat().st_mode & 0o777)
    processor.save_pretrained(folder)
    preprocess.processor.save_pretrained(folder)  # preprocessor_config.json, which older readers look for
    if isinstance(ours.chat_template, str):
        (folder / BASE_TEMPLATE).write_text(ours.chat_template, encoding="utf-8")
    _write_json(folder / QUESTIONS, list(questions))
    _make_portable(folder)
    return Exported(model, tokenizer, image_id)


@torch.no_grad()
def _same(llava: Any, model: FaceLanguageModel, size: int, image_id: int) -> None:
    """Refuse a language model whose head does more than a LLaVA's (soft caps, scales)."""
    places = model.vision.num_tokens
    device = next(model.parameters()).device
    ids = torch.tensor([[0, *[image_id] * places, *range(min(image_id, 8))]], device=device)
    pixels = torch.linspace(-2, 2, 3 * size * size, device=device).view(1, 3, size, size)
    ones = torch.ones_like(ids)
    theirs = llava(input_ids=ids, pixel_values=pixels, attention_mask=ones).logits
    mine = model(pixels, ids, ids == image_id, ones).logits
    apart = float((theirs.float() - mine.float()).abs().max())
    if not apart <= _CLOSE * max(1.0, float(mine.float().abs().max())):
        raise ExportError(
            f"as a LlavaForConditionalGeneration the {type(model.llm).__name__} computes other logits "
            f"({apart:.2g} apart): only the run itself can be used"
        )


def _make_portable(folder: Path) -> None:
    """Name classes as both transformers 4 and 5 know them, and no path of this machine."""
    for path in folder.glob("*.json"):
        read = json.loads(path.read_text(encoding="utf-8"))
        if path.name.endswith("config.json"):
            _write_json(path, _portable(read))


def _portable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _portable(one) for key, one in value.items() if key != "_name_or_path"}
    if isinstance(value, list):
        return [_portable(one) for one in value]
    return _PORTABLE.get(value, value) if isinstance(value, str) else value


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
