"""What the labels of a dataset add up to, and how that compares with the published counts. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datamodules.action_units import UNKNOWN, Scale
from datamodules.expected_counts import Count, Expected, class_weights
from datamodules.index import Index

WEIGHT_TOLERANCE = 1e-6
"""Published weights have six decimals."""

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """Sums over all faces; A Action Units.

    Attributes:
        frames: number of labelled faces.
        subjects: faces of each person, people sorted.
        known: [A] int, faces in which the unit was coded.
        positives: [A] int, faces in which it is present.
        together: [A, A] float, share of the faces with the unit of the row that also show the unit of the
            column, among those in which both were coded; NaN where there is no such face.
        values: for levels, [A, 6] int: faces with each level 0-5; otherwise [A, 0].
    """

    frames: int
    subjects: dict[str, int]
    known: npt.NDArray[np.int64]
    positives: npt.NDArray[np.int64]
    together: npt.NDArray[np.float64]
    values: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Compared:
    """One number beside its published value.

    Attributes:
        what: such as ``frames of F001`` or ``AU12 in part1``.
        found: here.
        expected: published.
        agrees: whether they are the same.
    """

    what: str
    found: float
    expected: float
    agrees: bool

    def sentence(self, source: str) -> str:
        """The difference, for the user."""
        return f"{self.what}: {written(self.found)} here, {written(self.expected)} published ({source})"


def written(number: float) -> str:
    """A count with separators, a weight with its six decimals."""
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:.6f}"


def count_labels(
    index: Index, codes: Sequence[str], scale: Scale, present_from: Callable[[str], float | None]
) -> LabelCounts:
    """Add up the labels of an index, in blocks of rows so that memory stays flat.

    Args:
        index: sorted and checked.
        codes: of its label columns.
        scale: of its labels.
        present_from: the value from which a unit counts as present; None: 1 for presence, above 0 otherwise.
    """
    starts = np.array([_lowest(present_from(code), scale) for code in codes], dtype=np.float32)
    width, levels = len(codes), 6 if scale is Scale.LEVEL else 0
    known, positives = np.zeros(width, np.int64), np.zeros(width, np.int64)
    both, asked = np.zeros((width, width)), np.zeros((width, width))
    values = np.zeros((width, levels), np.int64)
    for start in range(0, len(index), _CHUNK):
        labels = index.labels[start : start + _CHUNK]
        coded = labels != UNKNOWN
        present = (coded & (labels >= starts)).astype(np.float64)
        known += coded.sum(0)
        positives += present.sum(0).astype(np.int64)
        both += present.T @ present
        asked += present.T @ coded.astype(np.float64)
        for level in range(levels):
            values[:, level] += (labels == level).sum(0)
    share = np.divide(both, asked, out=np.full_like(both, np.nan), where=asked > 0)
    people = _Tally.of(index, [], 0).faces()
    return LabelCounts(len(index), people, known, positives, share, values)


def compare(index: Index, codes: Sequence[str], scale: Scale, expected: Expected) -> list[Compared]:
    """Hold an index against the published counts; nothing is compared that was not counted on its scale."""
    same_scale = (expected.threshold is None) == (scale is Scale.PRESENCE)
    comparable = bool(expected.aus) and same_scale and set(expected.aus) <= set(codes)
    columns = [list(codes).index(code) for code in expected.aus] if comparable else []
    tally = _Tally.of(index, columns, _lowest(expected.threshold, scale))
    found = list(_frames(index, tally, expected))
    if not comparable:
        return found
    parts = {part: tally.count(people) for part, people in expected.part_subjects.items()}
    if expected.total is not None:
        found += _positives("the dataset", expected.aus, tally.count(tally.people), expected.total)
    for part, count in expected.parts.items():
        found += _positives(part, expected.aus, parts[part], count)
    for person, count in expected.subjects.items():
        found += _positives(person, expected.aus, tally.count([person]), count)
    return found + list(_weights(parts, expected))


@dataclass(frozen=True, slots=True)
class _Tally:
    """Faces and positives of every person, added up in one pass.

    Attributes:
        people: person -> row of the tables.
        frames: [P] int.
        positives: [P, K] int, one column for each of the chosen units.
    """

    people: dict[str, int]
    frames: npt.NDArray[np.int64]
    positives: npt.NDArray[np.int64]

    @classmethod
    def of(cls, index: Index, columns: Sequence[int], lowest: float) -> _Tally:
        names, whose = index.whose()
        positives = np.zeros((len(names), len(columns)), np.int64)
        for place, column in enumerate(columns):
            shown = whose[index.labels[:, column] >= lowest]
            positives[:, place] = np.bincount(shown, minlength=len(names))
        frames = np.bincount(whose, minlength=len(names))
        return cls({name: row for row, name in enumerate(names)}, frames, positives)

    def faces(self) -> dict[str, int]:
        return dict(zip(self.people, self.frames.tolist(), strict=True))

    def count(self, people: Iterable[str]) -> Count:
        """The sums over some people; who is not there counts nothing."""
        rows = [self.people[person] for person in people if person in self.people]
        return Count(int(self.frames[rows].sum()), tuple(self.positives[rows].sum(0).tolist()))


def _lowest(threshold: float | None, scale: Scale) -> float:
    """The smallest value that counts as present."""
    if threshold is not None:
        return threshold
    return 1.0 if scale is Scale.PRESENCE else float(np.nextafter(np.float32(0), np.float32(1)))


def _frames(index: Index, tally: _Tally, expected: Expected) -> Iterator[Compared]:
    """Frames of the dataset, its parts, people and sequences, and the number of people."""
    people = tally.faces()
    if expected.total is not None:
        yield _same("frames of the dataset", len(index), expected.total.frames)
    if expected.people is not None:
        yield _same("people of the dataset", len(people), expected.people)
    for part, count in expected.parts.items():
        yield _same(f"frames of {part}", tally.count(expected.part_subjects[part]).frames, count.frames)
    for person, count in expected.subjects.items():
        yield _same(f"frames of {person}", people.get(person, 0), count.frames)
    for person in sorted(set(people) - set(expected.subjects)) if expected.subjects else ():
        yield _same(f"frames of {person}", people[person], 0)
    if expected.sequences:
        names, counts = np.unique([_sequence(one) for one in index.sample_ids], return_counts=True)
        lengths = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
        for name, (_, _, wanted) in expected.sequences.items():
            yield _same(f"frames of {name}", lengths.get(name, 0), wanted)


def _sequence(sample_id: str) -> str:
    return str(sample_id).rpartition("/")[0]


def _positives(where: str, codes: Sequence[str], found: Count, expected: Count) -> list[Compared]:
    pairs = zip(codes, found.positives, expected.positives, strict=False)
    return [_same(f"{code} in {where}", here, there) for code, here, there in pairs]


def _weights(parts: dict[str, Count], expected: Expected) -> Iterator[Compared]:
    """The class weights of each fold, which were published to six decimals."""
    for fold, weights in expected.weights.items():
        chosen = [parts[part] for part in weights.parts]
        positives = [sum(count.positives[k] for count in chosen) for k in range(len(expected.aus))]
        frames = sum(count.frames for count in chosen)
        here = class_weights(frames, positives) if min(positives) > 0 else [float("nan")] * len(positives)
        for code, found, wanted in zip(expected.aus, here, weights.values, strict=True):
            agrees = abs(found - wanted) <= WEIGHT_TOLERANCE
            yield Compared(f"class weight of {code} in {fold}", round(found, 6), wanted, agrees)


def _same(what: str, found: int, expected: int) -> Compared:
    return Compared(what, found, expected, found == expected)
