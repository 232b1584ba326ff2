"""`aullava config --memory`: what a training step needs on each device, before anything is loaded."""

from __future__ import annotations

import math
from typing import Any, Final, cast

import torch

from aullava.build import DTYPES, build_data
from aullava.config.schema import Config
from aullava.models.errors import MissingModelError, ModelError
from aullava.models.llm import load_tokenizer
from aullava.models.memory import Adapter, Memory, Step, tower_memory, training_memory
from aullava.models.projector import build_projector
from aullava.models.shapes import config_of
from aullava.models.vision_kinds import GRIDS, hidden_states, prefix_tokens
from aullava.text.errors import choose
from aullava.text.grammar import AnswerForm, answer_template, answer_text, slots
from aullava.text.layout import Layout, frame_of
from aullava.text.question import Order, QuestionStyle, question
from aullava.text.tokens import Tokenizer, piece_ids
from datamodules.action_units import Scale
from datamodules.base import AUDataModule

QUESTION, ANSWER = 3.3, 1.0
"""Characters per token of questions and answers, where the tokenizer is not here: about LLaMA's; ours."""
GIB: Final = 2**30
_NOT_COUNTED: Final = """\
Not in the sum: what kernels need for a moment, and what the allocator holds back.
A cache of vision features would not pay beside a 7B language model: the encoder is 1-2 % of a step's
arithmetic (calculated), and BP4D's features (576 x 1024, bf16) are 173 GB."""


def memory_report(config: Config) -> str:
    """A table of bytes per device, for one copy on each (ddp) and for a model in pieces (fsdp).

    Raises:
        ModelError: the model begins with a whole LLaVA, has an encoder of another kind, or is not here.
    """
    if config.llm.init_from is not None:
        raise ModelError("--memory tells the memory of vision.name and llm.name, not of llm.init_from")
    step, known = _step(config)
    memory = _memory(config, step)
    devices = max(2, config.strategy.devices)
    rows = [
        ("vision encoder, frozen", memory.tower, memory.tower),
        ("language model, frozen", memory.frozen, -(-memory.frozen // devices)),
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
    lines += [
        "",
        f"{step.batch} sequences of {step.tokens} tokens{about}: {step.image_tokens} of the image, "
        f"{step.supervised} learned. Activations inside the blocks are {inside}.",
        _NOT_COUNTED,
    ]
    return "\n".join(lines)


def _memory(config: Config, step: Step) -> Memory:
    llm = config_of(config.llm.name, "llm")
    vision: Any = config_of(config.vision.name, "vision")
    if vision.model_type in GRIDS:
        raise ModelError("--memory knows encoders made of transformer blocks, not convolutional ones")
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


def _step(config: Config) -> tuple[Step, bool]:
    """The sizes of the largest step, and whether its tokens were counted or estimated."""
    vision: Any = config_of(config.vision.name, "vision")
    grid = 196 if vision.model_type in GRIDS else (vision.image_size // vision.patch_size) ** 2
    image = grid + (prefix_tokens(vision) if config.vision.tokens == "all" else 0)
    questions, known = _questions(config)
    asked, answered, learned, rows = max(questions, key=lambda one: (image + one[0] + one[1]) * one[3])
    step = Step(
        batch=config.data.batch_size * rows,
        tokens=image + asked + answered,
        image_tokens=image,
        supervised=learned,
        mixed=config.trainer.precision != "32-true",
        checkpointing=config.llm.gradient_checkpointing,
    )
    return step, known


def _questions(config: Config) -> tuple[list[tuple[int, int, int, int]], bool]:
    """What batches are made of, and whether tokens were counted or estimated.

    Returns:
        For each sort of batch the tokens of its longest question and answer, how many of the answer are
        learned, and the questions about a face.
    """
    order = choose(Order, config.text.order, "text.order")
    layout = choose(Layout, config.text.layout, "text.layout")
    form = choose(AnswerForm, config.answer.form, "answer.form")
    try:
        tokenizer: Any = load_tokenizer(config.llm.name)
    except MissingModelError:
        tokenizer = None
    bare = layout if tokenizer is not None or layout is not Layout.CHAT_TEMPLATE else Layout.PLAIN
    style = QuestionStyle(order, config.text.definitions, frame_of(bare, tokenizer))

    def length(member: AUDataModule) -> tuple[int, int, int]:
        aus, scale = tuple(member.asked_aus), member.coded_scale()
        asked, answered = read(aus, scale)
        decisions = len(slots(answer_template(aus, scale, form)))
        return asked, answered, decisions if config.answer.independent else answered

    def read(aus: tuple[str, ...], scale: Scale) -> tuple[int, int]:
        pieces = [piece for piece in question(aus, scale, style) if isinstance(piece, str)]
        answer = answer_text(aus, scale, [0.0] * len(aus), form)
        if tokenizer is None:
            return math.ceil(sum(map(len, pieces)) / QUESTION), math.ceil(len(answer) / ANSWER) + 1
        counted = cast(Tokenizer, tokenizer)
        asked = sum(len(piece_ids(counted, piece)) for piece in pieces) + 1
        return asked, len(piece_ids(counted, answer)) + 1

    drawn = [one.members for one in build_data(config).drawn]
    found = [(*max(map(length, members), key=lambda one: one[0] + one[1]), len(members)) for members in drawn]
    return found, tokenizer is not None
