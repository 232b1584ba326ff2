"""`aullava config --memory`: what a training step needs on each device, before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final, cast

import torch

from aullava.build import DTYPES, build_data
from aullava.config.rules import SHARDED
from aullava.config.schema import Config
from aullava.models.arithmetic import vision_share
from aullava.models.errors import MissingModelError, ModelError
from aullava.models.llm import load_tokenizer
from aullava.models.memory import Adapter, Memory, Step, tower_memory, training_memory
from aullava.models.projector import build_projector
from aullava.models.shapes import config_of
from aullava.models.shared_prefix import TAKES_MASKS
from aullava.models.vision import load_preprocessor
from aullava.models.vision_kinds import GRIDS, hidden_states, patches, prefix_tokens
from aullava.text.errors import choose
from aullava.text.grammar import AnswerForm, answer_template, answer_text, slots
from aullava.text.layout import Layout, frame_of
from aullava.text.question import ImagePlace, Order, QuestionStyle, question
from aullava.text.tokens import Tokenizer, piece_ids
from datamodules.base import AUDataModule
from datamodules.errors import DatasetError

QUESTION, ANSWER = 3.3, 1.0
"""Characters per token of questions and answers, where the tokenizer is not here: about LLaMA's; ours."""
GIB: Final = 2**30
_NOT_COUNTED: Final = (
    "Not in the sum: what kernels need for a moment, what the allocator holds back, and the program itself."
)
_WORTH: Final = 0.05
"""Share of a step's arithmetic from which a cache of vision features is worth its disk; ours."""


def memory_report(config: Config) -> str:
    """A table of bytes per device, for one copy on each (ddp) and for a model in pieces (fsdp).

    Raises:
        ModelError: the model is not here, or has parts whose memory is not known: a convolutional encoder, an
            adapter on the encoder, weights in 4 bits, trained weights in bf16.
    """
    step, known, questions = _step(config)
    memory = _memory(config, step)
    devices = max(2, config.strategy.devices)
    rows = [
        ("vision encoder, frozen", memory.tower, memory.tower),
        ("language model, frozen", memory.frozen, -(-memory.frozen // devices)),
        ("their copies in half precision", memory.halves, memory.halves),
        ("trained weights (fp32)", memory.trained, -(-memory.trained // devices)),
        ("gradients", memory.gradients, -(-memory.gradients // devices)),
        ("optimiser (AdamW's moments)", memory.moments, -(-memory.moments // devices)),
        ("two blocks, gathered for their turn", 0, 2 * memory.block),
        ("activations kept for the backward pass", memory.activations, memory.activations),
        ("sum", memory.total, memory.sharded(devices)),
    ]
    lines = [f"{'GiB on each device':<42}{'ddp':>9}{f'fsdp on {devices}':>12}"]
    lines += [f"{name:<42}{one / GIB:>9.3f}{other / GIB:>12.3f}" for name, one, other in rows]
    about = "" if known else " (estimated: its tokenizer is not here)"
    inside = "computed again" if step.checkpointing else "kept"
    asked = f", with {questions} questions in each" if questions > 1 else ""
    lines += [
        "",
        f"{step.batch} sequences of {step.tokens} tokens{about}: {step.image_tokens} of the image, "
        f"{step.supervised} learned{asked}. Activations inside the blocks are {inside}.",
        _NOT_COUNTED,
        _about_cache(config, step),
    ]
    return "\n".join(lines)


def estimated(config: Config) -> str:
    """The estimate of a step's memory on this device, to be set beside what was measured."""
    try:
        memory = _memory(config, _step(config)[0])
    except ModelError as error:
        return f"no estimate: {error}"
    sharded = config.strategy.name in SHARDED
    count = config.strategy.devices * config.strategy.nodes
    total = memory.sharded(count) if sharded else memory.total
    return f"{total / GIB:.2f} GiB estimated for weights and a step, the program itself not counted"


def _about_cache(config: Config, step: Step) -> str:
    """What a cache of vision features would take and save, and whether it is worth it."""
    vision, llm = _shapes(config)
    read, extra = hidden_states(config.vision.layers, vision), prefix_tokens(vision)
    vision.num_hidden_layers = max(read)
    seen = step.image_tokens + (0 if config.vision.tokens == "all" else extra)
    share = vision_share(vision, seen, config.data.batch_size, llm, step)
    width, dtype = vision.hidden_size * len(read), DTYPES[config.vision.dtype]
    one = step.image_tokens * width * dtype.itemsize
    faces = _training_faces(config)
    size = f"{one / 2**20:.2f} MiB for a face"
    if faces:
        size = f"{faces * one / GIB:.1f} GiB for {faces:,} faces"
    worth = "worth it where they are read often" if share >= _WORTH else "not worth it"
    off = f" It is not used while data.flip={config.data.flip:g} mirrors faces." if config.data.flip else ""
    return (
        f"A cache of vision features (vision.cache_dir) would take {size} ({step.image_tokens} x {width}, "
        f"{config.vision.dtype}) and save {share:.1%} of a step's arithmetic (calculated): {worth}.{off}"
    )


def _training_faces(config: Config) -> int | None:
    """How many faces of all datasets are trained on; of datasets that are not here, all published ones."""
    count = 0
    for one in build_data(config).datasets:
        try:
            count += len(one.rows("train"))
        except DatasetError:
            expected = one.expected()
            if expected is None or expected.total is None:
                return None
            count += expected.total.frames
    return count


def _shapes(config: Config) -> tuple[Any, Any]:
    """The configs of encoder and language model, if their memory is known."""
    if config.adapter.vision_targets:
        raise ModelError("--memory knows a frozen encoder only: write adapter.vision_targets=null")
    if config.llm.quantization != "none":
        raise ModelError("--memory knows no weights in 4 bits: write llm.quantization=none")
    if config.trainer.precision == "bf16-true":
        raise ModelError("--memory knows trained weights in fp32 only: write trainer.precision=bf16-mixed")
    whole = config.llm.init_from
    vision = config_of(whole or config.vision.name, "vision", "llava" if whole else "vision")
    if vision.model_type in GRIDS:
        raise ModelError("--memory knows encoders made of transformer blocks, not convolutional ones")
    return vision, config_of(whole or config.llm.name, "llm", "llava" if whole else "llm")


def _memory(config: Config, step: Step) -> Memory:
    vision, llm = _shapes(config)
    read = hidden_states(config.vision.layers, vision)
    vision.num_hidden_layers = max(read)
    with torch.device("meta"):
        projector = build_projector(config.projector.kind, vision.hidden_size * len(read), llm.hidden_size)
    one = config.adapter
    return training_memory(
        tower_memory(vision, DTYPES[config.vision.dtype]),
        llm,
        DTYPES[config.llm.dtype],
        projector,
        Adapter(one.kind, one.r, one.alpha, one.dropout, one.targets),
        step,
    )


def _step(config: Config) -> tuple[Step, bool, int]:
    """The sizes of the largest step, whether its tokens were counted, and the questions in a sequence."""
    vision, _ = _shapes(config)
    try:
        size = load_preprocessor(config.llm.init_from or config.vision.name).size
    except MissingModelError:
        size = int(vision.image_size)
    image = patches(vision, size) + (prefix_tokens(vision) if config.vision.tokens == "all" else 0)
    batches, known = _batches(config)
    largest = max(batches, key=lambda one: (image + one.text) * one.rows)
    step = Step(
        batch=config.data.batch_size * largest.rows,
        tokens=image + largest.text,
        image_tokens=image,
        supervised=largest.learned,
        mixed=config.trainer.precision != "32-true",
        checkpointing=config.llm.gradient_checkpointing,
        eager=config.llm.attention == "eager",
    )
    return step, known, largest.questions


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a face is in a batch: sequences, tokens of text and tokens learned in each, questions in each."""

    rows: int
    text: int
    learned: int
    questions: int


def _batches(config: Config) -> tuple[list[_Batch], bool]:
    """What batches are made of, and whether tokens were counted or estimated."""
    order = choose(Order, config.text.order, "text.order")
    layout = choose(Layout, config.text.layout, "text.layout")
    form = choose(AnswerForm, config.answer.form, "answer.form")
    try:
        tokenizer: Any = load_tokenizer(config.llm.init_from or config.llm.name)
    except MissingModelError:
        tokenizer = None
    bare = layout if tokenizer is not None or layout is not Layout.CHAT_TEMPLATE else Layout.PLAIN
    style = QuestionStyle(order, config.text.definitions, frame_of(bare, tokenizer))

    def length(pieces: Sequence[str | ImagePlace]) -> int:
        texts = [piece for piece in pieces if isinstance(piece, str)]
        if tokenizer is None:
            return math.ceil(sum(map(len, texts)) / QUESTION)
        return sum(len(piece_ids(cast(Tokenizer, tokenizer), text)) for text in texts)

    def answered(member: AUDataModule) -> int:
        answer = answer_text(member.asked_aus, member.coded_scale(), [0.0] * len(member.asked_aus), form)
        if tokenizer is None:
            return 1 + math.ceil(len(answer) / ANSWER)
        return 1 + len(piece_ids(cast(Tokenizer, tokenizer), answer))

    def learned(member: AUDataModule) -> int:
        if config.answer.independent:
            return len(slots(answer_template(member.asked_aus, member.coded_scale(), form)))
        return answered(member)

    def batch(members: Sequence[AUDataModule]) -> _Batch:
        asked = [list(question(tuple(one.asked_aus), one.coded_scale(), style)) for one in members]
        answers = [answered(one) for one in members]
        beside = zip(*asked, strict=False)
        same = sum(1 for _ in takewhile(lambda pieces: pieces.count(pieces[0]) == len(pieces), beside))
        shared = any(isinstance(piece, ImagePlace) for piece in asked[0][:same])
        if len(members) > 1 and shared and config.llm.attention in TAKES_MASKS:
            rest = sum(length(pieces[same:]) for pieces in asked) + sum(answers)
            return _Batch(1, 1 + length(asked[0][:same]) + rest, sum(map(learned, members)), len(members))
        longest = max(1 + length(pieces) + more for pieces, more in zip(asked, answers, strict=True))
        return _Batch(len(members), longest, max(map(learned, members)), 1)

    return [batch(one.members) for one in build_data(config).drawn], tokenizer is not None
