"""Which frames go into which shard, in which order: decided by the index alone, equal in every run."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from datamodules.index import Index

MOST_SHARDS: Final = 1000
"""Above this many people (web pictures: each its own person) neighbours share a shard."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """One shard to make.

    Attributes:
        name: of its file, below the store.
        frames: sample id, person and place of each frame, in the order in which they are read best: videos
            forward, pictures by number.
    """

    name: str
    frames: tuple[tuple[str, str, str], ...]


def plan_shards(index: Index, folder: str) -> list[ShardPlan]:
    """The shards of a dataset: a person is never divided, and with at most `MOST_SHARDS` people not shared.

    Args:
        index: sorted by sample id.
        folder: that the names begin with.
    """
    order = np.argsort(index.subjects, kind="stable")
    starts = np.flatnonzero(np.r_[True, index.subjects[order][1:] != index.subjects[order][:-1]])
    wanted = 1 if len(starts) <= MOST_SHARDS else -(-len(order) // MOST_SHARDS)
    plans: list[ShardPlan] = []
    rows: list[int] = []
    for people in np.split(order, starts[1:]):
        rows += sorted(people.tolist(), key=lambda row: _natural(str(index.places[row])))
        if len(rows) >= wanted:
            plans.append(_plan(index, folder, len(plans), rows))
            rows = []
    return [*plans, _plan(index, folder, len(plans), rows)] if rows else plans


def pictures_fingerprint(index: Index) -> str:
    """A short hash of which frame each sample is; labels do not matter."""
    digest = hashlib.sha256()
    for column in (index.sample_ids, index.subjects, index.places):
        digest.update("\n".join(column.tolist()).encode() + b"\n\n")
    return digest.hexdigest()[:16]


def _plan(index: Index, folder: str, number: int, rows: list[int]) -> ShardPlan:
    columns = (index.sample_ids, index.subjects, index.places)
    frames = tuple(
        (str(ids[row]), str(who[row]), str(place[row])) for ids, who, place in [columns] for row in rows
    )
    return ShardPlan(f"{folder}/{number:05d}.arrow", frames)


def _natural(place: str) -> list[tuple[str, int]]:
    """A key that puts frame 999 before frame 1000."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", place)]
