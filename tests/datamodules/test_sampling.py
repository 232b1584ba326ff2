"""Which sample comes when: shares, passes, ranks and seeds."""

from __future__ import annotations

from array import array
from collections import Counter
from itertools import islice, pairwise

import pytest

from datamodules.sampling import Draw, MixtureBatches, Turns, normed, share_of_rank, shares, spread


def _draws(batches: MixtureBatches, count: int) -> list[list[Draw]]:
    return list(islice(batches, count))


def _rows(batches: list[list[Draw]], dataset: int) -> list[int]:
    return [draw.row for batch in batches for draw in batch if draw.dataset == dataset]


@pytest.mark.parametrize(("size", "batch"), [(12, 4), (10, 4), (3, 8), (1, 2)])
def test_every_sample_comes_once_in_a_pass(size: int, batch: int) -> None:
    passes = 6
    rows = _rows(_draws(MixtureBatches([size], [1.0], batch, seed=1), passes * size), 0)[: passes * size]
    orders = [rows[start : start + size] for start in range(0, len(rows), size)]
    assert len(orders) == passes
    assert all(sorted(order) == list(range(size)) for order in orders)
    if size >= 10:
        assert len({tuple(order) for order in orders}) == passes  # each pass has an order of its own


def test_every_dataset_has_its_passes_in_a_mixture() -> None:
    batches = _draws(MixtureBatches([6, 10], [1.0, 3.0], 4, seed=1), 40)
    for dataset, size in enumerate((6, 10)):
        rows = _rows(batches, dataset)
        whole = rows[: len(rows) // size * size]
        assert set(Counter(whole).values()) == {len(whole) // size}


def test_a_batch_is_of_one_dataset() -> None:
    for batch in _draws(MixtureBatches([5, 7, 9], [1, 1, 1], 4, seed=1), 30):
        assert len(batch) == 4
        assert len({draw.dataset for draw in batch}) == 1


@pytest.mark.parametrize("weights", [(1, 1, 1), (3, 1, 0.5), (0.2, 5, 1), (1, 0, 2), (7, 7, 1e-9)])
def test_after_every_batch_each_dataset_has_its_share(weights: tuple[float, ...]) -> None:
    had = Counter[int]()
    for number, batch in enumerate(_draws(MixtureBatches([9, 9, 9], weights, 2, seed=1), 200), start=1):
        had[batch[0].dataset] += 1
        for dataset, weight in enumerate(weights):
            assert abs(had[dataset] - number * weight / sum(weights)) <= 1.0 + 1e-9


def test_the_size_of_a_dataset_is_no_weight() -> None:
    batches = _draws(MixtureBatches([1000, 10], [1, 1], 4, seed=1), 50)
    assert [sum(batch[0].dataset == one for batch in batches) for one in (0, 1)] == [25, 25]


@pytest.mark.parametrize("world", [2, 3])
def test_the_ranks_partition_the_batch_of_one_process(world: int) -> None:
    sizes, weights = [11, 23], [1.0, 2.0]
    whole = _draws(MixtureBatches(sizes, weights, 4 * world, seed=5), 20)
    ranks = [
        _draws(MixtureBatches(sizes, weights, 4, seed=5, rank=rank, world_size=world), 20)
        for rank in range(world)
    ]
    for step, batch in enumerate(whole):
        assert [draw for rank in ranks for draw in rank[step]] == batch


def test_the_seed_decides_everything() -> None:
    def draws(seed: int) -> list[list[Draw]]:
        return _draws(MixtureBatches([20, 30], [1, 2], 4, seed), 25)

    assert draws(3) == draws(3)
    assert draws(3) != draws(4)
    once = MixtureBatches([20, 30], [1, 2], 4, 3)
    assert _draws(once, 25) == _draws(once, 25)  # a second pass over the same sampler starts anew


@pytest.mark.parametrize("taken", [1, 13, 40])
def test_a_sampler_goes_on_from_any_batch(taken: int) -> None:
    sizes, weights = [11, 23, 5], [1.0, 2.0, 0.3]
    whole = _draws(MixtureBatches(sizes, weights, 4, seed=5, rank=1, world_size=2), 60)
    turns = Turns.at_the_beginning(3)
    for _ in range(taken):
        turns.take(normed(weights))
    later = MixtureBatches(sizes, weights, 4, seed=5, rank=1, world_size=2, start=turns)
    assert _draws(later, 60 - taken) == whole[taken:]
    assert turns.batch == sum(turns.taken) == taken  # the sampler moved a copy


def test_augmentation_seeds_differ_between_draws() -> None:
    seeds = [draw.seed for batch in _draws(MixtureBatches([5, 5], [1, 1], 4, seed=1), 100) for draw in batch]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)


@pytest.mark.parametrize("count", [1, 2, 7, 100])
@pytest.mark.parametrize("wanted", [1, 2, 3, 6, 7, 99, 1000, None])
def test_spread_takes_the_ends_and_even_steps(count: int, wanted: int | None) -> None:
    rows = spread(count, wanted)
    assert len(rows) == min(count, wanted or count)
    assert rows == sorted(set(rows))
    assert rows[0] == 0
    if len(rows) > 1:
        assert rows[-1] == count - 1
        steps = [second - first for first, second in pairwise(rows)]
        assert max(steps) - min(steps) <= 1


@pytest.mark.parametrize(
    ("temperature", "wanted"),
    [(None, (0.25, 0.75)), (1.0, (0.1, 0.9)), (2.0, (1.0, 3 * 3**0.5)), (1e9, (0.25, 0.75))],
)
def test_temperature_lies_between_sizes_and_weights(
    temperature: float | None, wanted: tuple[float, float]
) -> None:
    found = shares([1, 3], [1000, 3000], temperature)
    assert sum(found) == pytest.approx(1)
    assert found[0] / found[1] == pytest.approx(wanted[0] / wanted[1])


@pytest.mark.parametrize("count", [0, 1, 2, 5, 6, 7])
@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_processes_share_an_evaluation(count: int, world: int) -> None:
    rows = array("q", range(10, 10 + count))
    parts = [share_of_rank(rows, rank, world) for rank in range(world)]
    assert len({len(mine) for mine, _ in parts}) == 1  # each takes part in every step
    scored = [row for mine, padding in parts for row in list(mine)[: len(mine) - padding]]
    assert scored == list(rows)
    assert sum(padding for _, padding in parts) < world
    assert all(0 <= padding <= len(mine) for mine, padding in parts)
