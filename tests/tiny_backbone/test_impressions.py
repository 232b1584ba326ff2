from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from aullava.image_words import AMOUNT, MIDDLE, STANDARD, asking_words, noting_words
from aullava.tiny_backbone.impressions import PLACES, Impressions
from aullava.tiny_backbone.tokenizer import train_tokenizer

WIDTH = 256


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer()


@pytest.fixture(scope="module")
def table(tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    return torch.randn(len(tokenizer), WIDTH, generator=torch.Generator().manual_seed(0))


def _readings(
    tokenizer: PreTrainedTokenizerFast, table: torch.Tensor, haze: float
) -> tuple[torch.Tensor, ...]:
    """Amounts [N, A], and by least squares what stands along the two words [N, PLACES, A]."""
    texts = Impressions(tokenizer, seed=3)
    amounts = texts.amounts(40)
    vectors = texts.draw(amounts, np.ones(amounts.shape, dtype=bool), table, haze)
    words = torch.cat([asking_words(table, tokenizer, STANDARD), noting_words(table, tokenizer, STANDARD)])
    flat = vectors.flatten(0, 1) / table.square().mean().sqrt()
    # The words of a kind sum to 0, so the shortest solution is wanted; gelsy, torch's default, begins with
    # whatever lies in its memory.
    found = torch.linalg.lstsq(words.T, flat.T, driver="gelsd").solution.T
    found = found.reshape(40, PLACES, 2, len(STANDARD))
    return torch.from_numpy(amounts).float(), found[:, :, 0], found[:, :, 1]


def test_clear_impressions_say_where_and_how_much(
    tokenizer: PreTrainedTokenizerFast, table: torch.Tensor
) -> None:
    amounts, place, amount = _readings(tokenizer, table, haze=0.0)
    shown = place > 0.5
    assert 13 <= int(shown.sum(1).min()) <= int(shown.sum(1).max()) <= 15
    read = (amount * shown).sum(1) / shown.sum(1)
    assert (read - AMOUNT * (amounts - MIDDLE)).abs().mean() < 0.05
    assert float(amount[~shown].abs().mean()) < 0.1


def test_haze_hides_more_and_lies_elsewhere(tokenizer: PreTrainedTokenizerFast, table: torch.Tensor) -> None:
    amounts, place, amount = _readings(tokenizer, table, haze=1.0)
    shown = place > 0.6
    assert 1.0 <= float(shown.sum(1).float().mean()) <= 3.5
    read = (amount * shown).sum(1) / shown.sum(1).clamp(min=1)
    here = np.corrcoef(read.flatten(), amounts.flatten())[0, 1]
    everywhere = np.corrcoef(amount.mean(1).flatten(), amounts.flatten())[0, 1]
    assert 0.6 < here < 0.95
    assert everywhere < 0.4


def test_amounts_are_often_nothing_and_otherwise_anything(tokenizer: PreTrainedTokenizerFast) -> None:
    amounts = Impressions(tokenizer, seed=4).amounts(500)
    assert 0.5 < float((amounts == 0).mean()) < 0.6
    assert amounts.max() == 1.0
    assert np.array_equal(amounts, amounts.round(2))


def test_words_are_as_large_as_each_other_and_share_nothing(
    tokenizer: PreTrainedTokenizerFast, table: torch.Tensor
) -> None:
    for words in (asking_words, noting_words):
        found = words(table, tokenizer, STANDARD)
        assert torch.allclose(found.square().mean(1), torch.ones(len(STANDARD)))
        assert float((found @ found.T / WIDTH).triu(1).abs().max()) < 0.5
        # A code's word does not depend on which others are asked for.
        assert torch.equal(words(table, tokenizer, STANDARD[3:5]), found[3:5])


def test_in_a_crowd_some_places_show_much_more_than_others(tokenizer: PreTrainedTokenizerFast) -> None:
    texts, shape = Impressions(tokenizer, seed=3), (200, len(STANDARD))
    apart, crowded = (texts._places(shape, haze=1.0, crowd=crowd).sum(2) for crowd in (0.0, 1.0))
    for per_place in (apart, crowded):  # each unit stands at one to three places, whatever the crowd
        assert len(STANDARD) <= per_place.sum(1).min() <= per_place.sum(1).max() <= 3 * len(STANDARD)
    assert float(crowded.amax(1).mean()) > 3 * float(apart.amax(1).mean())
