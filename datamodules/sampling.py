"""Which sample comes when: decided by arithmetic on (seed, step), never by hidden state."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from datamodules.balance import weighted_pass


@dataclass(frozen=True, slots=True)
class Draw:
    """One training sample to fetch: which dataset, which training row, and the seed of its augmentation."""

    dataset: int
    row: int
    seed: int


@dataclass(slots=True)
class Turns:
    """Whose turn it is: all that a mixture remembers of the batches that were taken.

    Attributes:
        batch: batches taken by each process so far.
        credit: what each dataset is owed, in batches.
        taken: batches of each dataset so far.
    """

    batch: int
    credit: list[float]
    taken: list[int]

    @classmethod
    def at_the_beginning(cls, datasets: int) -> Turns:
        """Nothing was taken."""
        return cls(0, [0.0] * datasets, [0] * datasets)

    def copy(self) -> Turns:
        """A copy that can move on alone."""
        return replace(self, credit=list(self.credit), taken=list(self.taken))

    def take(self, weights: Sequence[float]) -> tuple[int, int]:
        """Take the next batch.

        Args:
            weights: share of each dataset; they add up to 1.

        Returns:
            Number of the dataset, and how many of its batches were taken before.
        """
        self.credit = [had + more for had, more in zip(self.credit, weights, strict=True)]
        dataset = self.credit.index(max(self.credit))
        self.credit[dataset] -= 1.0
        self.taken[dataset] += 1
        self.batch += 1
        return dataset, self.taken[dataset] - 1


def normed(weights: npt.ArrayLike) -> list[float]:
    """Weights that add up to 1."""
    found: list[float] = (np.array(weights, dtype=np.float64) / np.sum(weights)).tolist()
    return found


class MixtureBatches(Sampler[list[Draw]]):
    """Endless training batches over several datasets, each batch from one of them.

    All rows of a batch ask the same question, so nothing is padded. The datasets take turns so that after
    every batch each has had its share as exactly as whole batches allow; within a dataset every sample comes
    once per pass (or as often as its row weight says), in an order that only the seed and the number of the
    pass decide.

    Args:
        sizes: training samples of each dataset.
        weights: relative share of the batches of each dataset.
        batch_size: samples of a batch on one device.
        seed: decides orders and augmentations.
        rank: number of this process.
        world_size: number of processes; each has its own part of every ``batch_size * world_size``.
        row_weights: for each dataset float [size], how often each row comes relative to the others; None (for
            all or for one dataset): equally often.
        start: whose turn it is at the first batch; None: the beginning.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float],
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        row_weights: Sequence[npt.NDArray[np.float64] | None] | None = None,
        start: Turns | None = None,
    ) -> None:
        self.sizes = tuple(sizes)
        self.weights = normed(weights)
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.row_weights = tuple(row_weights or [None] * len(sizes))
        self.start = start or Turns.at_the_beginning(len(sizes))
        self._orders: dict[int, tuple[int, np.ndarray]] = {}

    def __iter__(self) -> Iterator[list[Draw]]:
        turns = self.start.copy()
        while True:
            dataset, before = turns.take(self.weights)
            start = (before * self.world_size + self.rank) * self.batch_size
            yield [self._draw(dataset, position) for position in range(start, start + self.batch_size)]

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
            weights = self.row_weights[dataset]
            size = self.sizes[dataset]
            order = generator.permutation(size) if weights is None else weighted_pass(weights, generator)
            kept = self._orders[dataset] = (turn, order)
        return kept[1]


def shares(
    weights: Sequence[float], sizes: Sequence[int], temperature: float | None = None
) -> tuple[float, ...]:
    """The share of the training batches of each dataset; they add up to 1.

    Args:
        weights: relative weight of each dataset.
        sizes: its training samples.
        temperature: each weight is multiplied by ``size ** (1 / temperature)``: 1 draws every sample equally
            often, a larger one favours small datasets, infinity and None draw every dataset equally often.
    """
    power = 0.0 if temperature is None else 1 / temperature
    raw = np.asarray(weights, dtype=np.float64) * np.asarray(sizes, dtype=np.float64) ** power
    return tuple(normed(raw))


def share_of_rank(rows: Sequence[int], rank: int, world_size: int) -> tuple[Sequence[int], int]:
    """The rows that one process evaluates, and how many at their end are padding.

    Each process gets a block of the same length, so that all of them take part in every step; what is missing
    at the end is filled up with the last row, which must be marked and not scored.

    Args:
        rows: all rows.
        rank: number of this process.
        world_size: number of processes.
    """
    each = -(-len(rows) // world_size)
    mine = array("q", rows[rank * each : (rank + 1) * each])  # one block of memory, as loader workers need it
    missing = each - len(mine)
    mine.extend([rows[-1]] * missing if missing else [])
    return mine, missing


def spread(count: int, wanted: int | None) -> list[int]:
    """At most ``wanted`` of ``count`` rows, evenly spread; all of them for None."""
    if wanted is None or wanted >= count:
        return list(range(count))
    return [int(row) for row in np.linspace(0, count - 1, wanted).round()]
