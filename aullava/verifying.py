"""An exported folder beside the run it came from: the same tokens, logits and answers, and the canary.

The merged model answers each question by its own decoder. Both models then read question and answer in passes
of one shape, so that equal weights give equal bits, and each says what it would write at every token: greedy
decoding goes by nothing else. `generate` itself writes the answers about the first images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from aullava.decoding.one_pass import OnePass
from aullava.decoding.slots import SlotTable, zeros
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
GENERATED = 16
"""Images about which `generate` writes whole answers, token by token."""

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
            rows = ids.expand(len(part), -1), places.expand(len(part), -1), _any_answer(prompt, part)
            tuned.append(_held(answer_logits(model, part, *rows)))
            without = base_logits(model, part, *rows)
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
    decoder = OnePass(written.model, collator)
    for one, early in zip(asked, before, strict=True):
        for start in range(0, len(faces), BATCH):
            part = list(faces[start : start + BATCH])
            _compare(tally, served, decoder, one, part, whole=start < GENERATED)
            if start < len(early.pixels):
                _compare_merging(tally, served, written.model, collator, one, early, start)
    adapted = any(early.base is not None for early in before)
    return Verification(
        dtype=next(written.model.parameters()).dtype,
        images=len(faces),
        answers=tally.counts["answers"],
        agreed=tally.counts["agreed"],
        generated=tally.counts["generated"],
        equal=tally.counts["equal"],
        valid=tally.counts["valid"],
        logits=tally.worst["logits"],
        merging=tally.worst["merging"],
        pixels=tally.worst["pixels"],
        tuned=tally.worst["tuned"] if adapted else None,
        untuned=tally.worst["untuned"] if adapted else None,
    )


def _compare(
    tally: _Tally, served: Served, decoder: OnePass, asked: Asked, faces: list[Picture], whole: bool
) -> None:
    """Logits, pixels and decisions of one question about a few images; with `whole` written answers too."""
    model, collator = decoder.model, decoder.collator
    scale, aus = asked
    prompt = collator.prompt(aus, scale)
    inputs = served.inputs(faces, asking_text(aus, scale, collator.style))
    pixels, ids = inputs["pixel_values"], inputs["input_ids"]
    rows, table = (pixels, ids, _places(prompt, ids)), SlotTable(prompt.grammar, ids.device)
    said = decoder.ask(model.see(pixels), [""] * len(faces), aus, scale)
    draft = table.answer_ids(table.choices_of(np.stack([one.values for one in said])))
    answer, ours = _answered(model, table, rows, draft)
    theirs = served.logits(inputs, answer)
    tally.larger("logits", apart(theirs, ours))
    tally.larger("pixels", float((pixels.cpu() - collator.preprocess(faces)).abs().max()))
    same = (_decided(table, theirs) == answer) & (theirs.argmax(2) == ours.argmax(2))
    tally.count("answers", len(faces))
    tally.count("agreed", int(same.all(dim=1).sum()))
    if whole:
        longest = len(prompt.grammar.steps)
        written = served.answers(inputs, longest)
        mine = answers(model, *rows, longest, served.end_id)
        tally.count("generated", len(faces))
        tally.count("equal", sum(one == other for one, other in zip(written, mine, strict=True)))
        tally.count("valid", sum(_reads(served.text(one), aus, scale, collator) for one in written))


def _answered(
    model: FaceLanguageModel, table: SlotTable, rows: tuple[Tensor, Tensor, Tensor], draft: Tensor
) -> tuple[Tensor, Tensor]:
    """Our answers [B, L], decided in whole passes, and the logits [B, L, V] that decided them.

    In half precision the decoder's own passes, of other shapes, may decide a near tie the other way. What
    stands behind a changed token is decided anew, so the first k slots stand after k passes.

    Args:
        model: merged.
        table: the slots of the question.
        rows: pixels, ids and the image's places.
        draft: the answers [B, L] of the decoder.
    """
    answer = draft
    while True:
        logits = answer_logits(model, *rows, answer)
        decided = _decided(table, logits)
        if torch.equal(decided, answer):
            return answer, logits
        answer = decided


def _decided(table: SlotTable, logits: Tensor) -> Tensor:
    """The answers [B, L] of the likeliest choices among those that the grammar allows."""
    slots = (0, len(table.steps))
    scores = table.scores(logits[:, list(table.positions)][:, :, table.columns], slots)
    return table.answer_ids(table.chosen(scores, slots, zeros(table, len(logits))))


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
    places, answer = _places(prompt, ids), _any_answer(prompt, pixels)
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


def _any_answer(prompt: Prompt, pixels: Tensor) -> Tensor:
    """The ids [B, L] of one answer that the grammar allows, for each picture, to read logits along."""
    ids = prompt.grammar.encode(np.zeros(len(prompt.grammar.aus), np.float32))
    return torch.tensor(ids, device=pixels.device).expand(len(pixels), -1)


def _held(logits: Tensor) -> Tensor:
    return logits.float().cpu()


def _reads(text: str, aus: tuple[str, ...], scale: Scale, collator: Collator) -> bool:
    """Whether an answer follows its grammar from the first character to the last."""
    try:
        parse_answer(text, aus, scale, collator.form)
    except AnswerError:
        return False
    return True
