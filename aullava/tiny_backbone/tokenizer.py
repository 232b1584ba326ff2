"""The tiny tokenizer: byte-level BPE learned on the question texts of the whole FACS vocabulary.

Digits stand alone, as in LLaMA's, so that every decision of an answer is one token. A code keeps the
punctuation that an answer puts around it (``, AU12: `` is one token), and merges may cross blanks, so that a
definition is a few tokens and not thirty (superword BPE: Liu et al. 2025, arXiv 2503.13423). Any other text
still works, byte by byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from aullava.image_words import STANDARD
from aullava.text.question import Order, QuestionStyle, question
from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS, Scale, codes

CODE = r"(?:, )?A[UD][0-9]+(?:\+[0-9]+)?[LRTB]?(?:: )?"
NOTE = r" marked A[UD][0-9]+(?:\+[0-9]+)?[LRTB]?"
"""A written observation such as `` marked AU12``: one token (`aullava.image_words`)."""
VOCABULARY = 2304


def _texts() -> Iterator[str]:
    """Every definition on its own, the questions of the standard code lists, and answers."""
    lists = [BP4D_AUS, DISFA_AUS, FEAFA_AUS, *((code,) for code in codes())] * 4
    for aus in lists:
        for scale in Scale:
            for order in Order:
                style = QuestionStyle(order=order)
                yield from (piece for piece in question(aus, scale, style) if isinstance(piece, str))
    rng = np.random.default_rng(0)
    for _ in range(200):
        chosen = rng.permutation(np.array(codes()))
        yield ", ".join(f"{code}: {rng.integers(10)}" for code in chosen)
    for code in STANDARD:
        yield from [f" marked {code}"] * 20


def train_tokenizer() -> PreTrainedTokenizerFast:
    """Learn the tokenizer; the same texts give the same tokenizer."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(rf"{NOTE}|{CODE}|[0-9]|\n|[^0-9A\n]+|A"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(_texts(), trainer)
    build: Any = PreTrainedTokenizerFast  # transformers does not annotate the constructor
    tokenizer: PreTrainedTokenizerFast = build(
        tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>", padding_side="left"
    )
    return tokenizer
