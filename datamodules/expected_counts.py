"""The published counts of a dataset, to hold a reader and a copy of the files against. No torch here.

They are aggregates of public list files (`datamodules/expected/*.json`, each with its source): numbers of
frames and positives per subject and per part. Nobody's picture and nobody's label stands in them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Count:
    """Labelled frames, and how many of them show each of the Action Units.

    Attributes:
        frames: number of frames.
        positives: one number for each of `Expected.aus`; empty if unknown.
    """

    frames: int
    positives: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Weights:
    """Published class weights of one fold.

    Attributes:
        parts: the parts that are trained on.
        values: one weight for each of `Expected.aus`, to 6 decimals.
    """

    parts: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a complete copy of a dataset holds; what is empty or None is not known.

    Attributes:
        source: where the numbers come from.
        total: of the whole dataset.
        aus: the codes that positives and weights are about.
        threshold: native value from which a frame counts as positive; None for presence labels.
        people: how many people.
        editions: numbers of frames that are right for other copies or selections, by their name.
        subjects: of each person.
        parts: of each part of the canonical folds.
        part_subjects: the people of each part.
        weights: of each fold, by its name.
        sequences: first and last frame number and number of frames of each sequence, named as the sample ids
            begin (``F001/T1``).
    """

    source: str
    total: Count | None = None
    aus: tuple[str, ...] = ()
    threshold: float | None = None
    people: int | None = None
    editions: Mapping[str, int] = field(default_factory=dict)
    subjects: Mapping[str, Count] = field(default_factory=dict)
    parts: Mapping[str, Count] = field(default_factory=dict)
    part_subjects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    weights: Mapping[str, Weights] = field(default_factory=dict)
    sequences: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)


@cache
def expected_counts(dataset: str) -> Expected | None:
    """The counts of a registered dataset; None if nothing was published."""
    file = resources.files(__package__).joinpath("expected", f"{dataset}.json")
    if not file.is_file():
        return None
    given: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    tables = {
        name: {key: _count(value) for key, value in given.pop(name, {}).items()}
        for name in ("subjects", "parts")
    }
    return Expected(
        source=given["source"],
        total=_count(given["total"]),
        aus=tuple(given.get("aus", ())),
        threshold=given.get("threshold"),
        people=given.get("people"),
        editions=given.get("editions", {}),
        part_subjects={part: tuple(people) for part, people in given.get("part_subjects", {}).items()},
        weights={fold: Weights(tuple(p), tuple(w)) for fold, (p, w) in given.get("weights", {}).items()},
        sequences={name: tuple(three) for name, three in given.get("sequences", {}).items()},
        **tables,
    )


def class_weights(frames: int, positives: Sequence[int]) -> list[float]:
    """Weights of Action Units by their rarity: (1 / rate) / sum(1 / rate) x number of units.

    The rule of JAA-Net's write_AU_weight.py and ME-GraphAU's calculate_AU_class_weights.py.

    Args:
        frames: labelled frames of the training part.
        positives: how many of them show each unit, each at least 1.
    """
    inverse = [frames / count for count in positives]
    return [one / sum(inverse) * len(inverse) for one in inverse]


def _count(pair: Sequence[Any]) -> Count:
    return Count(pair[0], tuple(pair[1]))
