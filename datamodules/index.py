"""The table of a dataset: every labelled face, sorted and checked, before a single picture is read."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datamodules.action_units import UNKNOWN, Scale
from datamodules.errors import DatasetError, EmptyDatasetError, LabelOutOfRangeError, nearest


@dataclass(frozen=True, slots=True)
class Index:
    """One row per face. Fixed-width arrays, so that loader workers share the memory instead of copying it.

    Attributes:
        sample_ids: [N] str, unique.
        subjects: [N] str, the person, without the dataset's name.
        places: [N] str, what the dataset needs to load the picture (a path below the root, a number, ...).
        labels: [N, A] float32, UNKNOWN where not coded.
        origins: [N] str, where the row's labels stand, for messages (``labels.csv:12``).
    """

    sample_ids: npt.NDArray[np.str_]
    subjects: npt.NDArray[np.str_]
    places: npt.NDArray[np.str_]
    labels: npt.NDArray[np.float32]
    origins: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.sample_ids)

    def rows_of(self, people: Collection[str]) -> npt.NDArray[np.int64]:
        """Numbers of the rows that show these people, ascending."""
        return np.flatnonzero(np.isin(self.subjects, list(people)))

    def take(self, columns: Sequence[int]) -> Index:
        """The same faces with some of the label columns, in the given order."""
        labels = np.ascontiguousarray(self.labels[:, list(columns)])
        return Index(self.sample_ids, self.subjects, self.places, labels, self.origins)

    def fingerprint(self) -> str:
        """A short hash of who, what and which labels."""
        digest = hashlib.sha256()
        for part in (self.sample_ids, self.subjects, self.labels):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]


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
    for row, column in np.argwhere(~_allowed(index.labels, scale))[:1]:
        value = float(index.labels[row, column])
        raise LabelOutOfRangeError.of(index.origins[row], aus[column], value, scale, scale.in_words)
    parts = (index.sample_ids, index.subjects, index.places, index.labels, index.origins)
    return Index(*(part[order] for part in parts))  # type: ignore[arg-type]


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


def _allowed(labels: npt.NDArray[np.float32], scale: Scale) -> npt.NDArray[np.bool_]:
    """[N, A]: whether each label is UNKNOWN or a value of the scale (NaN is neither)."""
    if scale is Scale.INTENSITY:
        on_scale = (labels >= 0) & (labels <= 1)
    else:
        top = 1 if scale is Scale.PRESENCE else 5
        on_scale = np.isin(labels, np.arange(top + 1))
    return np.asarray(on_scale | (labels == UNKNOWN))
