"""Rare Action Units more often: weights by hand, passes that keep to them."""

from __future__ import annotations

from collections import Counter
from itertools import chain, islice

import numpy as np
import numpy.typing as npt
import pytest

from datamodules.action_units import UNKNOWN
from datamodules.balance import MOST, presence_of, rare_weights, weighted_pass
from datamodules.sampling import Draw, MixtureBatches


def _labels(*columns: list[float]) -> npt.NDArray[np.float32]:
    return np.array(columns, dtype=np.float32).T


def test_presence_follows_each_column_and_keeps_the_unknown() -> None:
    labels = _labels([0, 1, 2, 5, UNKNOWN], [0, 1, UNKNOWN, 1, 0])
    present = presence_of(labels, [2, 1])
    assert present.dtype == np.float32
    assert present.T.tolist() == [[0, 0, 1, 1, UNKNOWN], [0, 1, UNKNOWN, 1, 0]]


def test_a_single_unit_comes_present_and_absent_equally_often() -> None:
    column = [1.0] + [0.0] * 7
    weights = rare_weights(_labels(column))
    assert weights[0] == pytest.approx(7 * weights[1])
    assert weights.mean() == pytest.approx(1)


def test_a_row_weighs_the_mean_of_what_it_shows() -> None:
    rare, common = [1.0, 0, 0, 0], [1.0, 1, 0, 0]
    # rare: present 4 / 2, absent 4 / 6; common: 1 each. The mean over all rows is 1 already.
    assert rare_weights(_labels(rare, common)).tolist() == pytest.approx([1.5, 5 / 6, 5 / 6, 5 / 6])


def test_unknown_labels_weigh_nothing() -> None:
    one, other = [1.0, 0, 0, 0, 0], [UNKNOWN, UNKNOWN, 0, 1, 0]
    weights = rare_weights(_labels(one, other))
    assert weights[0] > weights[3] > weights[2]
    assert weights[0] == pytest.approx(4 * weights[1])  # the second column says nothing about these two
    assert rare_weights(_labels([UNKNOWN, UNKNOWN])).tolist() == [1, 1]


def test_no_row_is_drawn_all_the_time() -> None:
    weights = rare_weights(_labels([1.0] + [0.0] * 9999))
    assert weights[0] == MOST


def test_a_unit_that_nobody_shows_favours_nobody() -> None:
    assert rare_weights(_labels([0.0] * 5, [1.0] * 5)).tolist() == pytest.approx([1] * 5)


def test_a_pass_draws_each_row_as_often_as_it_weighs() -> None:
    generator = np.random.default_rng(3)
    weights = generator.uniform(0.1, 4, 97)
    expected = weights / weights.sum() * len(weights)
    total = np.zeros(len(weights))
    for _ in range(200):
        counts = np.bincount(weighted_pass(weights, generator), minlength=len(weights))
        assert counts.sum() == len(weights)
        assert np.all((counts >= np.floor(expected)) & (counts <= np.ceil(expected)))
        total += counts
    assert np.abs(total / 200 - expected).max() < 0.15


WEIGHTS = np.array([9.0, 0.5, 0.5, 1.0, 1.0, 0.0])


def _draws(steps: int, batch: int = 4, rank: int = 0, world: int = 1, seed: int = 5) -> list[list[Draw]]:
    batches = MixtureBatches([6, 10], [1, 1], batch, seed, rank, world, row_weights=[WEIGHTS, None])
    return list(islice(batches, steps))


def test_weighted_and_plain_datasets_stand_in_one_mixture() -> None:
    drawn = list(chain(*_draws(60)))
    rows = [[draw.row for draw in drawn if draw.dataset == one] for one in (0, 1)]
    first = Counter(rows[0])
    assert first[0] == pytest.approx(0.75 * len(rows[0]), abs=2)
    assert first[5] == 0
    assert set(Counter(rows[1]).values()) == {len(rows[1]) // 10}


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_weighted_batches_too(world: int) -> None:
    whole = _draws(15, batch=4 * world)
    parts = [_draws(15, rank=rank, world=world) for rank in range(world)]
    assert [list(chain(*step)) for step in zip(*parts, strict=True)] == whole


def test_the_seed_alone_decides() -> None:
    assert _draws(20) == _draws(20)
    assert _draws(20) != _draws(20, seed=6)


def test_a_draw_depends_on_its_place_alone() -> None:
    """Nothing is remembered between passes: a later pass is the same whether or not the earlier ones ran."""
    batches = MixtureBatches([6], [1], 1, 5, row_weights=[WEIGHTS])
    late = [batches._draw(0, position) for position in range(600, 612)]
    again = [draw for step in islice(batches, 600, 612) for draw in step]
    assert again == late
