"""What stands in the image's place while the tiny LLM learns to read: vectors made of its own words.

No picture and no label of a picture is involved. Amounts of all Action Units are drawn at random; for each
one, a few of the places say "it is to be seen here" (the embedding of ", AU12: ", the word that asks for it)
and how much of it (the embedding of " marked AU12", by the amount). Everywhere else stands the same kind of
words as noise. A large language model has learned to find and read out what a prompt says in far harder ways;
the tiny one learns just this. `aullava.alignment` writes the first image tokens in the same two words.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from aullava.image_words import AMOUNT, MIDDLE, STANDARD, asking_words, noting_words
from aullava.text.tokens import Tokenizer

PLACES: Final = 64
"""Vectors in an image's place: the patches of the tiny encoder."""
ABSENT: Final = 0.55
"""Share of the amounts that are 0."""
SPREAD: Final = 0.36
"""Standard deviation of the amounts."""
CROWDED: Final = 2.0
"""Standard deviation of the log popularity of places in a crowd: the first then has .30 of all; ours."""
COMMON: Final = 6
"""Directions in which the noise of different Action Units goes together."""


class Impressions:
    """Draws impressions of random amounts.

    Args:
        tokenizer: of the language model.
        seed: decides amounts, places and noise.
    """

    def __init__(self, tokenizer: Tokenizer, seed: int) -> None:
        self._tokenizer = tokenizer
        self._numbers = np.random.default_rng(seed)
        self._generator = torch.Generator().manual_seed(seed)

    def amounts(self, rows: int) -> np.ndarray:
        """Amounts in [0, 1] of all of `STANDARD`, to 0.01: float64 [rows, A]."""
        shape = (rows, len(STANDARD))
        shown = self._numbers.uniform(size=shape) >= ABSENT
        return np.where(shown, self._numbers.uniform(0.01, 1.0, shape), 0.0).round(2)

    def draw(
        self, amounts: np.ndarray, asked: np.ndarray, table: Tensor, haze: float, crowd: float = 0.0
    ) -> Tensor:
        """Vectors for the image's place.

        Args:
            amounts: [N, A] of all of `STANDARD`.
            asked: bool [N, A]; in clear air only these are written at all.
            table: the language model's embeddings [V, D], with their gradient.
            haze: 0 (clear: many places, no noise) to 1 (as hard to read as a real projector's tokens).
            crowd: 0 (places lie anywhere) to 1 (a few places show many Action Units, as a mouth does).

        Returns:
            float32 [N, PLACES, D], of the size of the embeddings.
        """
        written = torch.from_numpy(np.maximum(asked, haze)).float()[:, None]
        shown = self._places(amounts.shape, haze, crowd)
        place = self._place_readings(shown, haze) * written
        amount = self._amount_readings(shown, amounts, haze) * written
        vectors = place @ asking_words(table, self._tokenizer, STANDARD)
        vectors = vectors + amount @ noting_words(table, self._tokenizer, STANDARD)
        vectors = vectors + (0.1 + 0.3 * haze) * self._normal(*vectors.shape)
        return table.detach().square().mean().sqrt() * vectors

    def _places(self, shape: tuple[int, ...], haze: float, crowd: float) -> Tensor:
        """Where each Action Unit shows, 0 or 1 [N, PLACES, A]: 1 to 3 places, in clear air 12 more.

        Each Action Unit takes places by their popularity, without putting one back (Gumbel-top-k: Kool et
        al., arXiv 1903.06059). A crowd has log-normal popularities.
        """
        count = torch.randint(1, 4, shape, generator=self._generator) + int(12 * (1 - haze))
        popular = CROWDED * crowd * self._normal(shape[0], PLACES, 1) if crowd else torch.zeros(())
        chance = self._uniform(shape[0], PLACES, shape[1]).clamp(min=1e-12)
        order = (chance.log().neg().log() - popular).argsort(1).argsort(1)
        return (order < count[:, None]).float()

    def _place_readings(self, shown: Tensor, haze: float) -> Tensor:
        """About 1 where an Action Unit shows, about 0 elsewhere."""
        blur = haze * (0.02 + 0.10 * self._uniform(len(shown), 1, 1))
        clear = 1 + haze * 0.6 * (self._uniform(*shown.shape) - 0.5)
        return shown * clear + blur * self._normal(*shown.shape)

    def _amount_readings(self, shown: Tensor, amounts: np.ndarray, haze: float) -> Tensor:
        """The expected amount where an Action Unit shows, noise elsewhere.

        What a regression expects of an amount varies less than the amount itself: with a share ``r`` of the
        variance explained, expectation = mean + r (amount - mean) + noise of variance r (1 - r).
        """
        rows, _, codes = shown.shape
        explained = 1 - 0.65 * haze * self._uniform(rows, codes)
        noise = SPREAD * (explained * (1 - explained)).sqrt() * self._normal(rows, codes)
        expected = (explained * (torch.from_numpy(amounts).float() - MIDDLE) + noise)[:, None]
        common = self._normal(rows, PLACES, COMMON) @ self._normal(rows, COMMON, codes) / COMMON**0.5
        elsewhere = (0.1 + 0.3 * self._uniform(rows, 1, 1)) * 0.7 * (common + self._normal(*shown.shape))
        here = AMOUNT * expected + haze * 0.1 * self._normal(*shown.shape)
        return shown * here + (1 - shown) * haze * elsewhere

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._generator)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self._generator)
