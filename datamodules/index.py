"""The table of a dataset: every labelled face, sorted and checked, before a single picture is read."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from datamodules.action_units import UNKNOWN, Scale
from datamodules.errors import DatasetError, EmptyDatasetError, LabelOutOfRangeError, nearest

Text = npt.NDArray[np.str_]

_CHUNK = 1 << 16  # rows that are hashed at once, or wait as Python objects: memory stays flat


@dataclass(frozen=True, slots=True)
class Index:
    """One row per face. Fixed-width arrays, so that loader workers share the memory instead of copying it.

    Attributes:
        sample_ids: [N] str, unique and the same for every packaging of the dataset: ``F001/T1/2440``.
        subjects: [N] str, the person, without the dataset's name.
        places: [N] str, what the dataset needs to load the picture (a path below the root, a number, ...).
        labels: [N, A] float32, UNKNOWN where not coded.
        origins: [N] str, where the row's labels stand, for messages (``labels.csv:12``).
        attributes: more that is known of the faces, each [N] str: task, sequence, camera, ...
    """

    sample_ids: Text
    subjects: Text
    places: Text
    labels: npt.NDArray[np.float32]
    origins: Text
    attributes: Mapping[str, Text] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sample_ids)

    def people(self) -> list[str]:
        """Everybody in it, sorted."""
        starts = self._runs()
        return sorted({str(subject) for subject in self.subjects[starts]})

    def rows_of(self, people: Collection[str]) -> npt.NDArray[np.int64]:
        """Numbers of the rows that show these people, ascending."""
        starts = self._runs()
        wanted = set(people)
        chosen = np.array([str(subject) in wanted for subject in self.subjects[starts]], dtype=np.bool_)
        lengths = np.diff(np.append(starts, len(self)))
        return np.flatnonzero(np.repeat(chosen, lengths))

    def whose(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        """Everybody in it, sorted, and [N]: the place of each row's person in that list."""
        starts = self._runs()
        names, numbers = np.unique(self.subjects[starts], return_inverse=True)
        return names.tolist(), np.repeat(numbers, np.diff(np.append(starts, len(self))))

    def labelled(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """[len(rows)]: which of some rows have a known label."""
        known = np.zeros(len(rows), np.bool_)
        for start in range(0, len(rows), _CHUNK):
            some = self.labels[rows[start : start + _CHUNK]]
            known[start : start + _CHUNK] = (some != UNKNOWN).any(axis=1)
        return known

    def rows(self, numbers: npt.ArrayLike) -> Index:
        """Some of the rows, in the given order (row numbers, or a truth value for each row)."""
        chosen = np.asarray(numbers)
        return Index(
            self.sample_ids[chosen],
            self.subjects[chosen],
            self.places[chosen],
            self.labels[chosen],
            self.origins[chosen],
            {name: column[chosen] for name, column in self.attributes.items()},
        )

    def take(self, columns: Sequence[int]) -> Index:
        """The same faces with some of the label columns, in the given order."""
        labels = self.labels  # all of them in their order are not copied: they may be a file of gigabytes
        if list(columns) != list(range(labels.shape[1])):
            labels = np.ascontiguousarray(labels[:, list(columns)])
        return Index(self.sample_ids, self.subjects, self.places, labels, self.origins, self.attributes)

    def fingerprint(self) -> str:
        """A short hash of who, what and which labels."""
        digest = hashlib.sha256()
        for part in (self.sample_ids, self.subjects, self.labels):
            for start in range(0, len(part), _CHUNK):
                digest.update(np.ascontiguousarray(part[start : start + _CHUNK]).tobytes())
        return digest.hexdigest()[:16]

    def _runs(self) -> npt.NDArray[np.int64]:
        """Where a row shows somebody else than the row before: rarely, since rows are sorted by sample id."""
        if not len(self):
            return np.zeros(0, np.int64)
        return np.append(0, np.flatnonzero(self.subjects[1:] != self.subjects[:-1]) + 1)


class IndexRows:
    """Collects the rows of an index; few of them wait as Python objects, so that memory stays flat."""

    def __init__(self) -> None:
        self._blocks: list[Index] = []
        self._waiting: list[tuple[str, str, str, Sequence[float], str]] = []
        self._attributes: dict[str, list[str]] = {}

    def add(
        self,
        sample_id: str,
        subject: str,
        place: str,
        labels: Sequence[float] | npt.NDArray[np.float32],
        origin: str,
        **attributes: str,
    ) -> None:
        """One face; see `Index` for the arguments. Every row has the same attributes."""
        if self._waiting and set(attributes) != set(self._attributes):
            self._flush()
        self._waiting.append((sample_id, subject, place, list(labels), origin))
        for name, value in attributes.items():
            self._attributes.setdefault(name, []).append(value)
        if len(self._waiting) >= _CHUNK:
            self._flush()

    def extend(
        self,
        sample_ids: Sequence[str],
        subject: str,
        places: Sequence[str],
        labels: npt.ArrayLike,
        origins: Sequence[str],
        **attributes: str | Sequence[str],
    ) -> None:
        """A whole sequence of one person at once: n ids, places, origins and labels [n, A].

        An attribute is one text for all of them, or n texts.
        """
        self._flush()
        count = len(sample_ids)
        if not count:
            return
        more = {
            name: np.full(count, value) if isinstance(value, str) else np.array(value, np.str_)
            for name, value in attributes.items()
        }
        values = np.asarray(labels, dtype=np.float32).reshape(count, -1)
        block = Index(
            np.array(sample_ids, np.str_),
            np.full(count, subject),
            np.array(places, np.str_),
            values,
            np.array(origins, np.str_),
            more,
        )
        lengths = {len(column) for column in (block.places, block.origins, *more.values())}
        assert lengths == {count}, f"{count} samples with columns of {sorted(lengths)} rows"
        self._blocks.append(block)

    def index(self, aus_count: int) -> Index:
        """All rows, in the order in which they came.

        Args:
            aus_count: number of label columns, also of an index without rows.
        """
        self._flush()
        if not self._blocks:
            nothing = np.zeros(0, np.str_)
            return Index(nothing, nothing, nothing, np.zeros((0, aus_count), np.float32), nothing)
        names = set(self._blocks[0].attributes)
        assert all(set(block.attributes) == names for block in self._blocks), "rows differ in attributes"
        assert all(block.labels.shape[1] == aus_count for block in self._blocks), "rows differ in labels"

        def column(name: str) -> Text:
            return np.concatenate([getattr(block, name) for block in self._blocks])

        whole = Index(
            column("sample_ids"),
            column("subjects"),
            column("places"),
            np.concatenate([block.labels for block in self._blocks]),
            column("origins"),
            {name: np.concatenate([b.attributes[name] for b in self._blocks]) for name in sorted(names)},
        )
        self._blocks = [whole]
        return whole

    def _flush(self) -> None:
        """Make a block of the rows that wait."""
        if not self._waiting:
            return
        ids, subjects, places, labels, origins = zip(*self._waiting, strict=True)
        block = Index(
            np.array(ids, np.str_),
            np.array(subjects, np.str_),
            np.array(places, np.str_),
            np.array(labels, dtype=np.float32).reshape(len(ids), -1),
            np.array(origins, np.str_),
            {name: np.array(column, np.str_) for name, column in self._attributes.items()},
        )
        self._blocks.append(block)
        self._waiting, self._attributes = [], {}


def check_index(index: Index, dataset: str, aus: Sequence[str], scale: Scale, where: str) -> Index:
    """The index sorted by sample id, after it was checked.

    Raises:
        EmptyDatasetError: no rows.
        DatasetError: a sample id stands twice.
        LabelOutOfRangeError: a label that is neither UNKNOWN nor on the scale.
    """
    if not len(index):
        raise EmptyDatasetError.of(dataset, where, "labelled faces in the layout of `aullava datasets`")
    order = np.argsort(index.sample_ids, kind="stable")
    ids = index.sample_ids[order]
    twice = np.flatnonzero(ids[1:] == ids[:-1])
    if len(twice):
        raise DatasetError(
            f"{index.origins[order[twice[0] + 1]]}: sample '{ids[twice[0]]}' of dataset '{dataset}' "
            "stands twice: take one of the two rows out"
        )
    for row, column in out_of_range(index.labels, scale)[:1]:
        value = float(index.labels[row, column])
        raise LabelOutOfRangeError.of(index.origins[row], aus[column], value, scale, scale.in_words)
    return index.rows(order)


def chosen_columns(dataset: str, coded: Sequence[str], wanted: Sequence[str] | None) -> list[int]:
    """Columns of the wanted codes, in the wanted order; all for None.

    Raises:
        DatasetError: none is wanted, one stands twice, or the dataset does not code one of them; names the
            nearest that it codes.
    """
    if wanted is None:
        return list(range(len(coded)))
    if not wanted:
        raise DatasetError(
            f"data.datasets.{dataset}.aus is empty: name at least one code, or leave the key out"
        )
    for code in wanted:
        if list(wanted).count(code) > 1:
            raise DatasetError(f"data.datasets.{dataset}.aus names {code} twice: take one of the two out")
        if code not in coded:
            raise DatasetError(
                f"dataset '{dataset}' does not code {code}: did you mean '{nearest(code, coded)}'? "
                f"(it codes {', '.join(coded)})"
            )
    return [list(coded).index(code) for code in wanted]


def out_of_range(labels: npt.NDArray[np.float32], scale: Scale) -> npt.NDArray[np.int64]:
    """[K, 2]: row and column of every label that is neither UNKNOWN nor a value of the scale."""
    blocks = [
        np.argwhere(~_allowed(labels[start : start + _CHUNK], scale)) + np.array([start, 0])
        for start in range(0, len(labels), _CHUNK)
    ]
    return np.concatenate([np.zeros((0, 2), np.int64), *blocks])


def _allowed(labels: npt.NDArray[np.float32], scale: Scale) -> npt.NDArray[np.bool_]:
    """[N, A]: whether each label is UNKNOWN or a value of the scale (NaN is neither)."""
    if scale is Scale.INTENSITY:
        on_scale = (labels >= 0) & (labels <= 1)
    else:
        on_scale = np.isin(labels, np.arange(scale.top + 1))
    return np.asarray(on_scale | (labels == UNKNOWN))
