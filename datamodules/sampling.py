"""Which sample comes when: decided by arithmetic on (seed, step), never by hidden state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler


@dataclass(frozen=True, slots=True)
class Draw:
    """One training sample to fetch: which dataset, which training row, and the seed of its augmentation."""

    dataset: int
    row: int
    seed: int


class MixtureBatches(Sampler[list[Draw]]):
    """Endless training batches over several datasets, each batch from one of them.

    All rows of a batch ask the same question, so nothing is padded. The datasets take turns so that after
    every batch each has had its share as exactly as whole batches allow; within a dataset every sample comes
    once per pass, in an order that only the seed and the number of the pass decide.

    Args:
        sizes: training samples of each dataset.
        weights: relative share of the batches of each dataset.
        batch_size: samples of a batch on one device.
        seed: decides orders and augmentations.
        rank: number of this process.
        world_size: number of processes; each has its own part of every ``batch_size * world_size``.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float],
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.sizes = tuple(sizes)
        self.weights = np.array(weights, dtype=np.float64) / np.sum(weights)
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self._orders: dict[int, tuple[int, np.ndarray]] = {}

    def __iter__(self) -> Iterator[list[Draw]]:
        credit = np.zeros(len(self.sizes))
        taken = [0] * len(self.sizes)
        while True:
            credit += self.weights
            dataset = int(np.argmax(credit))
            credit[dataset] -= 1.0
            start = taken[dataset] + self.rank * self.batch_size
            yield [self._draw(dataset, position) for position in range(start, start + self.batch_size)]
            taken[dataset] += self.batch_size * self.world_size

    def _draw(self, dataset: int, position: int) -> Draw:
        turn, place = divmod(position, self.sizes[dataset])
        row = int(self._order(dataset, turn)[place])
        seed = np.random.SeedSequence([self.seed, dataset, position]).generate_state(1)[0]
        return Draw(dataset, row, int(seed))

    def _order(self, dataset: int, turn: int) -> np.ndarray:
        """The order of one pass through a dataset; the last one is kept, it serves a whole pass of draws."""
        kept = self._orders.get(dataset)
        if kept is None or kept[0] != turn:
            generator = np.random.default_rng([self.seed, dataset, turn])
            kept = self._orders[dataset] = (turn, generator.permutation(self.sizes[dataset]))
        return kept[1]


def spread(count: int, wanted: int | None) -> list[int]:
    """At most ``wanted`` of ``count`` rows, evenly spread; all of them for None."""
    if wanted is None or wanted >= count:
        return list(range(count))
    return [int(row) for row in np.linspace(0, count - 1, wanted).round()]
