"""Whether an exported folder, loaded by plain transformers, is the model that was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from peft import PeftModel
from PIL import Image
from torch import Tensor
from transformers import AutoProcessor, LlavaForConditionalGeneration

from aullava.models.vlm import FaceLanguageModel

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 0.05}
"""Largest difference of a logit between the folder and the merged model, and in fp32 between that and the
model with its adapter. In half precision two orders of the same sum differ by about 0.02; ours."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared, on `images` images in every format.

    Attributes:
        dtype: of the folder's weights.
        images: how many.
        answers: how many answers were compared, token by token.
        agreed: how many the folder decides as the merged model does.
        generated: how many whole answers the folder wrote by `generate`.
        equal: how many of them the merged model writes too.
        valid: how many of them follow the grammar.
        logits: max |difference| of a logit, folder against merged model, on the folder's own pixels.
        merging: the same, merged model against the model with its adapter.
        tuned: the same, model with its adapter against its base; None without an adapter.
        untuned: the same, folder against the base.
        pixels: max |difference| of a pixel value, the folder's processor against the run's.
    """

    dtype: torch.dtype
    images: int
    answers: int
    agreed: int
    generated: int
    equal: int
    valid: int
    logits: float
    merging: float
    tuned: float | None
    untuned: float | None
    pixels: float

    def complaint(self) -> str | None:
        """What is wrong with the folder, as a clause; None: it is the trained model."""
        limit = TOLERANCE[self.dtype]
        if not self.logits <= limit:
            return f"its logits are {self.logits:.2g} away from the merged model's, {limit:g} are allowed"
        if self.dtype is torch.float32 and not self.merging <= limit:
            return f"merging moved the logits by {self.merging:.2g}, {limit:g} are allowed"
        if self.agreed < self.answers:
            return f"{self.answers - self.agreed} of {self.answers} answers differ"
        if self.equal < self.generated:
            return f"{self.generated - self.equal} of {self.generated} answers of its generate() differ"
        if self.tuned is not None and self.untuned is not None:
            if self.tuned == 0:
                return "the adapter changes no logit: was the run trained?"
            if self.untuned < self.tuned / 2:
                return "it answers as the base model does, not as the tuned one: the adapter is lost"
        return None

    def lines(self) -> list[str]:
        """The figures as a reader wants them."""
        rows = [
            ("images", str(self.images)),
            ("max |logit difference|, folder - merged model", f"{self.logits:.3g}"),
            ("max |logit difference|, merged - with adapter", f"{self.merging:.3g}"),
            ("max |pixel difference|, its processor - ours", f"{self.pixels:.3g}"),
            ("equal answers", f"{self.agreed} of {self.answers}"),
            ("written by its generate() alike", f"{self.equal} of {self.generated}"),
            ("of these follow the grammar", f"{self.valid} of {self.generated}"),
        ]
        if self.tuned is not None and self.untuned is not None:
            rows.append(("canary: tuned - base, folder - base", f"{self.tuned:.3g}, {self.untuned:.3g}"))
        return [f"{name:<48}{value}" for name, value in rows]


class Served:
    """A folder as plain transformers reads it: nothing of ours takes part.

    Args:
        folder: from `write_folder`.
        device: where the model goes.
        attention: the run's kernel, so that nothing but the folder makes a difference; loaded without a
            word, transformers takes "sdpa", which rounds otherwise.
    """

    def __init__(self, folder: Path, device: torch.device, attention: str) -> None:
        build: Any = AutoProcessor  # its from_pretrained carries no types
        self.processor = build.from_pretrained(folder, local_files_only=True)
        model: Any = LlavaForConditionalGeneration.from_pretrained(
            folder,
            local_files_only=True,
            dtype="auto",
            use_safetensors=True,
            attn_implementation={"text_config": attention},
        )
        self.model = model.to(device).eval()
        self.image_id = int(model.config.image_token_id)
        self.end_id = int(self.processor.tokenizer.eos_token_id)

    def inputs(self, images: Sequence[np.ndarray], words: str) -> Any:
        """What its processor makes of images and one question."""
        chats = [
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": Image.fromarray(image)},
                        {"type": "text", "text": words},
                    ],
                }
            ]
            for image in images
        ]
        made = self.processor.apply_chat_template(
            chats, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        return made.to(self.model.device)

    def answers(self, inputs: Any, longest: int) -> list[list[int]]:
        """The tokens that it writes by its own generation config, up to its end token or `longest`."""
        written = self.model.generate(**inputs, max_new_tokens=longest)[:, inputs["input_ids"].shape[1] :]
        return _ended(written, self.end_id)

    def text(self, answer: list[int]) -> str:
        """An answer as text; special tokens stay, so that none in its middle goes unseen."""
        return str(self.processor.decode(answer, skip_special_tokens=False))

    @torch.no_grad()
    def logits(self, inputs: Any, answer: Tensor) -> Tensor:
        """As `answer_logits`, of its own forward pass."""
        ids = torch.cat([inputs["input_ids"], answer], dim=1)
        ones = torch.ones_like(ids)
        out = self.model(input_ids=ids, pixel_values=inputs["pixel_values"], attention_mask=ones)
        found: Tensor = out.logits[:, -answer.shape[1] - 1 : -1]
        return found


@torch.no_grad()
def answer_logits(
    model: FaceLanguageModel, pixels: Tensor, ids: Tensor, places: Tensor, answer: Tensor
) -> Tensor:
    """Logits [B, L, V] from which the tokens of each row's answer would be chosen.

    Args:
        model: ours.
        pixels: [B, 3, S, S].
        ids: int64 [B, T] of the question.
        places: bool [B, T], the image's among them.
        answer: int64 [B, L], ids that follow the question.
    """
    whole = torch.cat([ids, answer], dim=1)
    image = F.pad(places, (0, answer.shape[1]))
    logits: Tensor = model(pixels, whole, image, torch.ones_like(whole)).logits
    return logits[:, -answer.shape[1] - 1 : -1]


@torch.no_grad()
def answers(
    model: FaceLanguageModel, pixels: Tensor, ids: Tensor, places: Tensor, longest: int, end_id: int
) -> list[list[int]]:
    """The likeliest tokens of our model, one by one, up to its end token or `longest`.

    As transformers' `generate` goes, with a cache that grows: the same kernels run on the same shapes.

    Args:
        model: ours.
        pixels: as in `answer_logits`, like the next two.
        ids: of the question, without padding.
        places: the image's.
        longest: how many tokens at most.
        end_id: the token that ends an answer.
    """
    logits, state = model.prefill(pixels, ids, places, torch.ones_like(ids))
    written = [logits.argmax(dim=1, keepdim=True)]
    while len(written) < longest and not bool((torch.cat(written, 1) == end_id).any(1).all()):
        written.append(model.advance(written[-1], state).argmax(dim=1, keepdim=True))
    return _ended(torch.cat(written, 1), end_id)


def _ended(written: Tensor, end_id: int) -> list[list[int]]:
    """Rows of tokens, each up to its end token."""
    rows: list[list[int]] = written.tolist()
    return [row[: row.index(end_id)] if end_id in row else row for row in rows]


@torch.no_grad()
def base_logits(
    model: FaceLanguageModel, pixels: Tensor, ids: Tensor, places: Tensor, answer: Tensor
) -> Tensor | None:
    """As `answer_logits`, without the adapters; None for a model that has none."""
    if not isinstance(model.llm, PeftModel):
        return None
    with model.vision.frozen(), model.llm.disable_adapter():
        return answer_logits(model, pixels, ids, places, answer)


def apart(one: Tensor, other: Tensor) -> float:
    """Largest difference of two logits in the columns that both have."""
    columns = min(one.shape[-1], other.shape[-1])
    return float((one[..., :columns].float() - other[..., :columns].float()).abs().max())
