"""What rows of a batch have in common is read once, and nothing but the cost changes.

All questions about one picture stand in one sequence: what they have in common, the image among it, then
the rest of each question with its answer. A block mask keeps the questions apart, and every token has the
position that it has in its own row. With the definitions before the image, all sequences of a batch begin
alike too; that beginning passes the language model by itself, and the sequences go on behind its keys and
values, through which gradients flow back. Rows of different lengths are padded only where a picture's
questions together are shorter than another's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from aullava.models.tree import reading

SHORTEST: Final = 8
"""A shorter common part saves less than keeping it apart costs."""
TAKES_MASKS: Final = ("sdpa", "eager", "flex_attention")
"""Kinds of attention that take a mask of their own for every pair of tokens."""


@dataclass(frozen=True, slots=True)
class Sequences:
    """The tokens of a batch as the language model reads them.

    Attributes:
        input_ids: int64 [S, T].
        image_mask: bool [S, T], the image's places.
        keep: bool [S, T], the positions whose logits are wanted; in the order of the rows.
        pictures: int64 [S], the picture of each sequence.
        paths: int64 [S, T, D], the branches that each token belongs to (`aullava.models.tree`); None: a
            sequence is one text.
    """

    input_ids: Tensor
    image_mask: Tensor
    keep: Tensor
    pictures: Tensor
    paths: Tensor | None = None

    def common(self) -> int:
        """How many tokens before the image all sequences begin with, if reading them once is worth it."""
        count = len(self.input_ids)
        ends = self.image_mask | self.keep
        length = common_length(self.input_ids, ends, torch.zeros_like(self.pictures)) if count > 1 else 0
        return length if length >= SHORTEST else 0


def in_sequences(
    input_ids: Tensor,
    image_mask: Tensor,
    keep: Tensor,
    pictures: Tensor,
    fold: bool,
    branches: Tensor | None = None,
) -> Sequences:
    """The rows of a batch, those about one picture as one sequence if that is worth it.

    Args:
        input_ids: int64 [B, T], without padding on the left.
        image_mask: bool [B, T].
        keep: bool [B, T], the positions whose logits are wanted; at least one in every row.
        pictures: int64 [B], the picture of each row.
        fold: whether the language model may read several rows in one sequence (`may_fold`).
        branches: int64 [B, T], of independent answers: 0 in what those of a row share, else the number of the
            answer; -1 in the padding.
    """
    paths = None if branches is None else branches.unsqueeze(-1)
    rows = Sequences(input_ids, image_mask, keep, pictures, paths)
    ends = keep if branches is None else keep | (branches != 0)
    steps = pictures.diff()
    if not fold or not bool(((steps == 0) | (steps == 1)).all()):  # rows of a picture stand side by side
        return rows
    needed = keep.flip(1).cumsum(1).flip(1) > 0  # a row's last wanted position, and all before it
    common = common_length(input_ids, ends, pictures)
    inside = bool(image_mask[:, :common].sum() == image_mask.sum())
    return _folded(rows, needed, common) if inside and common >= SHORTEST else rows


def _folded(rows: Sequences, needed: Tensor, common: int) -> Sequences:
    """One sequence for each picture: the first `common` tokens of its rows once, then the rest of each."""
    place = torch.arange(rows.input_ids.shape[1], device=needed.device)
    first = torch.ones_like(rows.pictures, dtype=torch.bool)
    first[1:] = rows.pictures[1:] != rows.pictures[:-1]
    row, column = (needed & ((place >= common) | first[:, None])).nonzero(as_tuple=True)
    sequence = rows.pictures[row]
    lengths = torch.bincount(sequence)
    starts = lengths.cumsum(0) - lengths
    spot = torch.arange(len(row), device=row.device) - starts[sequence]

    def laid_out(values: Tensor, empty: int) -> Tensor:
        laid = values.new_full((len(lengths), int(lengths.max())), empty)
        laid[sequence, spot] = values
        return laid

    forks = [torch.where(column < common, 0, row + 1)]  # whose token it is; 0: everybody's
    if rows.paths is not None:
        forks += rows.paths[row, column].unbind(-1)
    return Sequences(
        input_ids=laid_out(rows.input_ids[row, column], 0),
        image_mask=laid_out(rows.image_mask[row, column], 0),
        keep=laid_out(rows.keep[row, column], 0),
        pictures=torch.arange(len(lengths), device=row.device),
        paths=torch.stack([laid_out(fork, -1) for fork in forks], dim=-1),
    )


def common_length(input_ids: Tensor, ends: Tensor, groups: Tensor) -> int:
    """How many leading ids are the same in all rows of every group.

    Args:
        input_ids: int64 [B, T].
        ends: bool [B, T]; the common part ends before the first of them.
        groups: int64 [B], the group of each row, from 0.
    """
    number = torch.arange(len(groups), device=groups.device)
    leaders = number.new_full((int(groups.max()) + 1,), len(groups)).scatter_reduce(0, groups, number, "amin")
    differs = ((input_ids != input_ids[leaders[groups]]) | ends).any(dim=0)
    return int(differs.int().argmax()) if bool(differs.any()) else input_ids.shape[1]


def logits_of(
    llm: PreTrainedModel | PeftModel, embeddings: Tensor, sequences: Sequences, by_itself: bool
) -> Tensor:
    """Logits [K, V] at the wanted positions, row by row.

    Args:
        llm: the language model.
        embeddings: of the tokens of `sequences`, [S, T, D].
        sequences: what is read.
        by_itself: whether the common beginning may pass the language model by itself.
    """
    begun, cache = sequences.common() if by_itself else 0, None
    if begun:
        cache = DynamicCache(config=llm.config)
        llm(inputs_embeds=embeddings[:1, :begun], past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache.batch_repeat_interleave(len(embeddings))
    logits: Tensor = llm(
        # A slice of everything would be a view, for which torch.compile captures the first block apart.
        inputs_embeds=embeddings[:, begun:] if begun else embeddings,
        **({} if sequences.paths is None else reading(llm, sequences.paths, begun)),
        past_key_values=cache,
        use_cache=cache is not None,
        logits_to_keep=sequences.keep[:, begun:],
    ).logits
    return logits


def may_fold(llm: PreTrainedModel | PeftModel) -> bool:
    """Whether a language model keeps rows apart that stand in one sequence, found out by asking it.

    Not every attention takes such a mask, and not every model takes positions. Two rows of three tokens, the
    first two the same, are read as two rows, as one sequence and, for a measure, one after the other.
    """
    kind, window = llm.config._attn_implementation, getattr(llm.config, "sliding_window", None)
    if kind not in TAKES_MASKS or (window and getattr(llm.config, "use_sliding_window", True)):
        return False
    table: Any = llm.get_input_embeddings()
    was_training, device = llm.training, table.weight.device
    words = torch.arange(1, 5, device=device)
    no, yes = torch.zeros(2, 3, dtype=torch.bool, device=device), torch.tensor([False, False, True])
    ids = torch.stack([words[:3], words[[0, 1, 3]]])
    rows = Sequences(ids, no, yes.to(device).expand(2, 3), torch.zeros_like(words[:2]))
    one = _folded(rows, torch.ones_like(no), 2)
    llm.eval()
    try:
        with torch.no_grad():
            apart = logits_of(llm, table(rows.input_ids), rows, False)[1]
            after = llm(inputs_embeds=table(words[None]), use_cache=False).logits[0, -1]
            folded = logits_of(llm, table(one.input_ids), one, False)[1]
    except (TypeError, ValueError, RuntimeError):  # it knows no such mask or no positions
        return False
    finally:
        llm.train(was_training)
    return bool((folded - apart).norm() < 0.1 * (after - apart).norm())
