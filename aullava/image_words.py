"""The two words in which an image token speaks of an Action Unit, as directions in embedding space.

``, AU12: `` asks for a value; along its embedding a token says "here is to be seen AU12". `` marked AU12``
notes an observation; along its embedding a token says how much of it is seen. The tiny LLM learned to read
them (`aullava.tiny_backbone.impressions`), and the projector starts by writing them (`aullava.alignment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from aullava.text.tokens import Tokenizer, piece_ids
from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS

STANDARD: Final = tuple(dict.fromkeys((*BP4D_AUS, *DISFA_AUS, *FEAFA_AUS)))
"""Codes whose words tell what all such words share."""
AMOUNT: Final = 1.5
MIDDLE: Final = 0.3
"""An amount ``a`` in [0, 1] is written as ``AMOUNT * (a - MIDDLE)`` times its word: centred, and as large as
the other word. Ours."""


def asking_words(table: Tensor, tokenizer: Tokenizer, codes: Sequence[str]) -> Tensor:
    """Directions [A, D] of variance 1 along which a token says that a code is to be seen here.

    Args:
        table: float [V, D], the input embeddings.
        tokenizer: theirs.
        codes: Action Units.
    """
    return _directions(table, tokenizer, codes, ", {}: ")


def noting_words(table: Tensor, tokenizer: Tokenizer, codes: Sequence[str]) -> Tensor:
    """Directions [A, D] of variance 1 along which a token says how much is seen; arguments as above."""
    return _directions(table, tokenizer, codes, " marked {}")


def _directions(table: Tensor, tokenizer: Tokenizer, codes: Sequence[str], pattern: str) -> Tensor:
    shared = _embeddings(table, tokenizer, [pattern.format(code) for code in STANDARD]).mean(0)
    own = _embeddings(table, tokenizer, [pattern.format(code) for code in codes]) - shared
    return own / own.square().mean(1, keepdim=True).sqrt()


def _embeddings(table: Tensor, tokenizer: Tokenizer, words: Sequence[str]) -> Tensor:
    """[W, D]; of a word that is several tokens, their mean."""
    return torch.stack([table[list(piece_ids(tokenizer, word))].mean(0) for word in words])
