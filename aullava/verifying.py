"""An exported folder beside the run it came from: the same tokens, logits and answers, and the canary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from aullava.export.errors import ExportError
from aullava.export.folder import Exported
from aullava.export.verify import (
    Served,
    Verification,
    answer_logits,
    answers,
    apart,
    base_logits,
)
from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator, Prompt
from aullava.text.errors import AnswerError
from aullava.text.parse import parse_answer
from aullava.text.question import asking_text
from datamodules.action_units import Scale

BATCH = 8
"""Images that are compared at once: logits of the whole vocabulary are held for all of their tokens."""
MERGED_ON = 16
"""Images on which the model is compared before and after the adapter is merged."""

Asked = tuple[Scale, tuple[str, ...]]
Picture = np.ndarray


@dataclass(frozen=True, slots=True)
class Before:
    """What the run said with its adapter: one question about the first images.

    Attributes:
        pixels: [B, 3, S, S], of the run's own preprocessing.
        tuned: logits of an answer's tokens [B, L, V].
        base: the same without the adapter; None for a model without one.
    """

    pixels: Tensor
    tuned: Tensor
    base: Tensor | None


@dataclass(slots=True)
class _Tally:
    """Largest differences and counts so far."""

    worst: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def larger(self, name: str, value: float) -> None:
        self.worst[name] = max(self.worst.get(name, 0.0), value)

    def count(self, name: str, number: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + number


def before_merging(
    model: FaceLanguageModel, collator: Collator, asked: Sequence[Asked], faces: Sequence[Picture]
) -> list[Before]:
    """Logits with and without the adapter, of each question about the first `MERGED_ON` images."""
    device = next(model.parameters()).device
    found = []
    for scale, aus in asked if faces else ():
        prompt = collator.prompt(aus, scale)
        pixels = collator.preprocess(list(faces[:MERGED_ON])).to(device)
        ids, places = torch.tensor(prompt.ids, device=device), torch.tensor(prompt.image, device=device)
        tuned, base = [], []
        for start in range(0, len(pixels), BATCH):
            part = pixels[start : start + BATCH]
            rows = ids.expand(len(part), -1), places.expand(len(part), -1)
            tuned.append(_held(answer_logits(model, part, *rows, _any_answer(prompt))))
            without = base_logits(model, part, *rows, _any_answer(prompt))
            base += [] if without is None else [_held(without)]
        found.append(Before(pixels, torch.cat(tuned), torch.cat(base) if base else None))
    return found


def refuse_other_tokens(
    served: Served, collator: Collator, asked: Sequence[Asked], written: Exported
) -> None:
    """Refuse a folder whose processor writes a question with other tokens than the run learned.

    Raises:
        ExportError: one differs.
    """
    blank = np.zeros((8, 8, 3), np.uint8)
    for scale, aus in asked:
        prompt = collator.prompt(aus, scale)
        places = zip(prompt.ids, prompt.image, strict=True)
        wanted = [written.image_id if place else token for token, place in places]
        found = served.inputs([blank], asking_text(aus, scale, collator.style))["input_ids"][0].tolist()
        if found != wanted:
            pairs = enumerate(zip(found, wanted, strict=False))
            at = next((number for number, (one, other) in pairs if one != other), len(wanted))
            raise ExportError(
                f"the tokenizer '{collator.tokenizer.name_or_path}' writes the question for '{scale}' as one "
                f"text with other tokens than in training (first at token {at}): only the run itself can be "
                "used"
            )


def verified(
    served: Served,
    written: Exported,
    collator: Collator,
    asked: Sequence[Asked],
    faces: Sequence[Picture],
    before: Sequence[Before],
) -> Verification:
    """Every question about every image, through the folder and through our merged model.

    Args:
        served: the folder.
        written: what it must compute.
        collator: of the run.
        asked: the questions.
        faces: images, RGB uint8 [H, W, 3].
        before: from `before_merging`, of the same questions and images.
    """
    tally = _Tally()
    for one, early in zip(asked, before, strict=True):
        for start in range(0, len(faces), BATCH):
            part = list(faces[start : start + BATCH])
            _compare(tally, served, written.model, collator, one, part)
            if start < len(early.pixels):
                _compare_merging(tally, served, written.model, collator, one, early, start)
    adapted = any(early.base is not None for early in before)
    return Verification(
        dtype=next(written.model.parameters()).dtype,
        images=len(faces),
        answers=tally.counts["answers"],
        agreed=tally.counts["agreed"],
        valid=tally.counts["valid"],
        logits=tally.worst["logits"],
        merging=tally.worst["merging"],
        pixels=tally.worst["pixels"],
        tuned=tally.worst["tuned"] if adapted else None,
        untuned=tally.worst["untuned"] if adapted else None,
    )


def _compare(
    tally: _Tally,
    served: Served,
    model: FaceLanguageModel,
    collator: Collator,
    asked: Asked,
    faces: list[Picture],
) -> None:
    """Logits, pixels and answers of one question about a few images."""
    scale, aus = asked
    prompt = collator.prompt(aus, scale)
    inputs = served.inputs(faces, asking_text(aus, scale, collator.style))
    pixels, ids, answer = inputs["pixel_values"], inputs["input_ids"], _any_answer(prompt)
    ours = answer_logits(model, pixels, ids, _places(prompt, ids), answer)
    tally.larger("logits", apart(served.logits(inputs, answer), ours))
    tally.larger("pixels", float((pixels.cpu() - collator.preprocess(faces)).abs().max()))
    said = served.answers(inputs, len(answer))
    mine = answers(model, pixels, ids, _places(prompt, ids), len(answer), served.end_id)
    tally.count("answers", len(faces))
    tally.count("agreed", sum(one == other for one, other in zip(said, mine, strict=True)))
    tally.count("valid", sum(_reads(served.text(one), aus, scale, collator) for one in said))


def _compare_merging(
    tally: _Tally,
    served: Served,
    model: FaceLanguageModel,
    collator: Collator,
    asked: Asked,
    early: Before,
    start: int,
) -> None:
    """The merged model and the folder beside what the run said with and without its adapter."""
    prompt = collator.prompt(asked[1], asked[0])
    pixels = early.pixels[start : start + BATCH]
    ids = torch.tensor(prompt.ids, device=pixels.device).expand(len(pixels), -1)
    places, answer = _places(prompt, ids), _any_answer(prompt)
    tuned = early.tuned[start : start + BATCH]
    tally.larger("merging", apart(_held(answer_logits(model, pixels, ids, places, answer)), tuned))
    if early.base is not None:
        base = early.base[start : start + BATCH]
        ids = ids.masked_fill(places, served.image_id)
        theirs = _held(served.logits({"input_ids": ids, "pixel_values": pixels}, answer))
        tally.larger("tuned", apart(tuned, base))
        tally.larger("untuned", apart(theirs, base))


def _places(prompt: Prompt, ids: Tensor) -> Tensor:
    """[B, T], where the image stands in the rows of a question."""
    return torch.tensor(prompt.image, device=ids.device).expand(len(ids), -1)


def _any_answer(prompt: Prompt) -> tuple[int, ...]:
    """The ids of one answer that the grammar allows, to read logits along."""
    return prompt.grammar.encode(np.zeros(len(prompt.grammar.aus), np.float32))


def _held(logits: Tensor) -> Tensor:
    return logits.float().cpu()


def _reads(text: str, aus: tuple[str, ...], scale: Scale, collator: Collator) -> bool:
    """Whether an answer follows its grammar from the first character to the last."""
    try:
        parse_answer(text, aus, scale, collator.form)
    except AnswerError:
        return False
    return True
