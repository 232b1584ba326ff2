"""Independent answers as one more way of `benchmarks/decoding.py`: every Action Unit in one masked pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from aullava.decoding.alone import Alone
from aullava.decoding.parallel import Parallel
from aullava.models.vlm import FaceLanguageModel
from aullava.text.batch import PromptBatch
from aullava.text.collate import Collator
from datamodules.action_units import Scale


def independent_way(
    model: FaceLanguageModel, collator: Collator, prompts: PromptBatch
) -> tuple[Callable[[], Any], dict[str, float]]:
    """What is measured, and what is known of it.

    Args:
        model: any weights; speed does not hang on them.
        collator: of the other ways: the questions are the same.
        prompts: one question about some faces.

    Returns:
        The way, and its tokens; for presence and levels also how far its probabilities lie from those of
        every Action Unit asked alone (for intensities that takes a hundred times as long; tests do it).
    """
    asking = Collator(
        collator.tokenizer,
        collator.style,
        collator.form,
        collator.image_tokens,
        collator.preprocess,
        collator.max_length,
        independent=True,
    )
    decoder = Parallel(model, asking)
    answers = decoder.answers(prompts)
    known = {"independent/tokens": decoder.counts.tokens / len(answers)}
    if prompts.scales[0] is not Scale.INTENSITY:
        slow = Alone(model, asking).answers(prompts)
        apart = [one.slot_probs - other.slot_probs for one, other in zip(answers, slow, strict=True)]
        known["independent/apart"] = float(np.abs(apart).max())
    return lambda: decoder.answers(prompts), known
