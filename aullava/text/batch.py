"""What a collator hands to a model: questions, with or without their answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

import torch
from torch import Tensor

from datamodules.action_units import Scale

UNSUPERVISED: Final = -100
"""Label of a position that the loss leaves out, as PyTorch's cross-entropy has it."""


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """Questions without answers, padded on the left, so that every row's answer begins at position T.

    Attributes:
        pixel_values: [B, 3, S, S] float32.
        input_ids: [B, T] int64; the pad id stands in the image's places.
        image_mask: [B, T] bool, true in the image's places.
        attention_mask: [B, T] int64, 0 in the padding.
        targets: [B, A] float32, the samples' labels, UNKNOWN where not coded and beyond a sample's own `aus`.
        prompt_lengths: [B] int64, tokens of the question with the image's.
        aus: the codes of each row of `targets`.
        asked: the codes that each row's question asks, in the order of its answer.
        scales: the format that each row's question asks for.
        datasets, sample_ids, subjects: where each row comes from.
    """

    pixel_values: Tensor
    input_ids: Tensor
    image_mask: Tensor
    attention_mask: Tensor
    targets: Tensor
    prompt_lengths: Tensor
    aus: tuple[tuple[str, ...], ...]
    asked: tuple[tuple[str, ...], ...]
    scales: tuple[Scale, ...]
    datasets: tuple[str, ...]
    sample_ids: tuple[str, ...]
    subjects: tuple[str, ...]

    def to(self, device: torch.device | str) -> Self:
        """The same batch with its tensors on `device`."""
        # Copies to a GPU may overlap with its work; a copy from it must be complete before anyone reads it.
        overlaps = torch.device(device).type == "cuda"
        return self._with_tensors(lambda tensor: tensor.to(device, non_blocking=overlaps))

    def pin_memory(self) -> Self:
        """The same batch with its tensors in page-locked memory."""
        return self._with_tensors(lambda tensor: tensor.pin_memory())

    def _with_tensors(self, change: Callable[[Tensor], Tensor]) -> Self:
        changed: dict[str, Any] = {
            field.name: change(getattr(self, field.name))
            for field in fields(self)
            if isinstance(getattr(self, field.name), Tensor)
        }
        return replace(self, **changed)


@dataclass(frozen=True, slots=True)
class AUBatch(PromptBatch):
    """Questions with their answers, padded on the right.

    Attributes:
        pixel_values: [P, 3, S, S] float32, each picture once.
        labels: [B, T] int64: the answer's ids and the end of the sequence (of independent answers: the ids in
            the slots), UNSUPERVISED everywhere else.
        pictures: [B] int64, the picture that each row asks about.
        branches: [B, T] int64, of independent answers: 0 in the question, the number of the Action Unit in
            its answer, -1 in the padding; None where an answer is one text.
    """

    labels: Tensor
    pictures: Tensor
    branches: Tensor | None = None

    @classmethod
    def of(
        cls, questions: PromptBatch, labels: Tensor, pictures: Tensor, branches: Tensor | None = None
    ) -> Self:
        """The batch of `questions`, whose rows hold their answers already, with the supervised ids."""
        shared = {field.name: getattr(questions, field.name) for field in fields(questions)}
        return cls(**shared, labels=labels, pictures=pictures, branches=branches)

    def inputs(self) -> dict[str, Tensor | None]:
        """What a model learns from, by the names of the arguments of its forward pass."""
        return {
            "pixel_values": self.pixel_values,
            "input_ids": self.input_ids,
            "image_mask": self.image_mask,
            "attention_mask": self.attention_mask,
            "labels": self.labels,
            "pictures": self.pictures,
            "branches": self.branches,
        }
