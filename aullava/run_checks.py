"""What is looked at before the first step, so that nothing stops a run in its middle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from aullava.config.words import hint
from aullava.evaluation.choice import BEST, LAST, to_choose_by
from aullava.evaluation.scores import ScoreBook
from aullava.text.collate import Collator
from aullava.text.errors import ContextLengthError
from aullava.training.errors import RunError
from aullava.training.module import Asked
from datamodules.action_units import UNKNOWN
from datamodules.base import AUDataModule
from datamodules.mixture import Mixture


def refuse_few_faces(data: Mixture, batch_size: int, processes: int) -> None:
    """Refuse a batch that is larger than a dataset: faces would stand in it twice.

    Raises:
        RunError: names the dataset, its training faces and the largest batch.
    """
    for member in data.members:
        faces = len(member.rows("train"))
        if faces < batch_size * processes:
            several = f" in each of {processes} processes" if processes > 1 else ""
            raise RunError(
                f"dataset '{member.name}' has {faces} training faces, fewer than data.batch_size {batch_size}"
                f"{several}: write at most data.batch_size={faces // processes}"
            )


def refuse_unknown_choice(by: str, datasets: Sequence[Asked]) -> None:
    """Refuse to choose weights by a score that no validation will have.

    Args:
        by: trainer.weights.
        datasets: what is asked of each.

    Raises:
        RunError: names the nearest score.
    """
    if by in (BEST, LAST):
        return
    names = []
    for one in datasets:
        nothing = torch.full((1, len(one.aus)), UNKNOWN)
        book = ScoreBook(one.aus, one.scale, one.present_from)
        book.update(nothing, nothing)
        names += [f"val/{one.name}/{score}" for score in book.compute()]
    known = to_choose_by(names)
    if by not in known:
        raise RunError(f"trainer.weights is '{by}', but no weights are chosen by that: {hint(by, known)}")


def refuse_long_questions(data: Mixture, collator: Collator) -> None:
    """Refuse a run in which some face's question and answer are too long for the language model.

    Raises:
        ContextLengthError: names a face.
    """
    for member in data.members:
        if _length(collator, member, member.asked_aus) > collator.max_length:
            _refuse_longest(member, collator)


def _refuse_longest(member: AUDataModule, collator: Collator) -> None:
    """Not every face is asked about everything: look at each pattern of known labels once."""
    rows = np.concatenate([np.asarray(member.rows(part)) for part in ("train", "val", "test")])
    known = member.index.labels[rows] != UNKNOWN
    patterns, first = np.unique(known, axis=0, return_index=True)
    for pattern, row in zip(patterns, rows[first], strict=True):
        asked = tuple(code for code, there in zip(member.asked_aus, pattern, strict=True) if there)
        length = _length(collator, member, asked)
        if length > collator.max_length:
            raise ContextLengthError.of(str(member.index.sample_ids[row]), length, collator.max_length)


def _length(collator: Collator, member: AUDataModule, aus: tuple[str, ...]) -> int:
    prompt = collator.prompt(aus, member.coded_scale())
    return len(prompt.ids) + len(prompt.grammar.steps)
