"""Who trains, who validates, who is tested: named, versioned, hashed splits of *people*. No torch here.

A protocol says who is tested in each fold. The validation people are always carved out of the training part,
so that nothing (epoch, threshold, penalty) can be chosen on the people that are tested.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datamodules.errors import DatasetError, EmptyDatasetError, SubjectLeakError, nearest

VALIDATION_SHARE = 0.15
"""Share of the training people that validate; ours: enough people for a stable choice, few enough to miss."""


@dataclass(frozen=True, slots=True)
class Split:
    """The people of one fold; the three parts share nobody."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def part(self, name: str) -> tuple[str, ...]:
        """The people of ``train``, ``val`` or ``test``."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]


@dataclass(frozen=True, slots=True)
class Protocol:
    """A named way of testing.

    Attributes:
        name: as in configs and tables.
        version: raised whenever the people of a fold change.
        folds: the tested people of each fold, fold 1 first.
    """

    name: str
    version: int
    folds: tuple[tuple[str, ...], ...]

    def split(self, subjects: Collection[str], fold: int) -> Split:
        """The people of one fold.

        Args:
            subjects: everybody in the dataset.
            fold: counted from 1.

        Raises:
            DatasetError: there is no such fold.
            EmptyDatasetError: nobody is left to train on, to validate or to test.
            SubjectLeakError: somebody would be in two parts.
        """
        if not 1 <= fold <= len(self.folds):
            raise DatasetError(
                f"protocol '{self.name}' has no fold {fold}: give a fold from 1 to {len(self.folds)}"
            )
        tested = set(self.folds[fold - 1])
        test = tuple(sorted(subject for subject in set(subjects) if subject in tested))
        train, val = carve_validation(sorted(set(subjects) - tested))
        split = Split(train, val, test)
        for name in ("train", "val", "test"):
            if not split.part(name):
                raise EmptyDatasetError(
                    f"protocol '{self.name}' leaves nobody in the {name} part of fold {fold}: "
                    "take another fold, or bring more people"
                )
        check_disjoint(split, self.name)
        return split

    def fingerprint(self) -> str:
        """A short hash of who is tested when."""
        text = repr((self.name, self.version, [sorted(fold) for fold in self.folds]))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def carve_validation(
    subjects: Sequence[str], share: float = VALIDATION_SHARE
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide training people into those who train and those who validate.

    The choice goes by a hash of the names and on no seed: whoever joins changes the part of at most one other
    person.

    Returns:
        People who train and people who validate (at least one, if there are two), both sorted.
    """
    count = max(1, round(share * len(subjects))) if len(subjects) > 1 else 0
    ordered = sorted(subjects, key=lambda name: hashlib.sha256(f"validation {name}".encode()).hexdigest())
    return tuple(sorted(ordered[count:])), tuple(sorted(ordered[:count]))


def people_folds(name: str, version: int, subjects: Collection[str], folds: int) -> Protocol:
    """A protocol for data without a canonical one: people dealt out to folds by a hash of their names."""
    ordered = sorted(set(subjects), key=lambda one: hashlib.sha256(f"fold {one}".encode()).hexdigest())
    return Protocol(name, version, tuple(tuple(sorted(ordered[start::folds])) for start in range(folds)))


def leave_one_subject_out(subjects: Collection[str], name: str = "leave_one_subject_out") -> Protocol:
    """A protocol with a fold for every person, in the order of their names."""
    return Protocol(name, 1, tuple((one,) for one in sorted(set(subjects))))


def user_folds(path: str | Path, subjects: Collection[str] = (), name: str = "own_folds") -> Protocol:
    """The folds of a user's own list of tested people.

    Args:
        path: a text file with the tested people of one fold in each line, apart by commas (or, in a line
            without any, by spaces), whatever follows a ``#`` not read; or a ``.json`` file, either
            ``{"1": ["F001", ...], "2": [...]}`` or ``[["F001", ...], [...]]``.
        subjects: everybody in the dataset; empty: nobody is looked up.
        name: of the protocol.

    Raises:
        DatasetError: the file cannot be read, a person stands twice, or is not in the dataset.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        folds = _json_folds(text) if path.suffix.lower() == ".json" else _text_folds(text)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"the folds cannot be read from {path} ({error}): give a file with the tested people of one fold "
            "in each line, or set options.folds_file to its path"
        ) from None
    seen: dict[str, str] = {}
    for where, people in folds.items():
        for person in people:
            if person in seen:
                raise DatasetError(
                    f"{path}, {where}: '{person}' is also in {seen[person]}: "
                    "name every person in one fold only"
                )
            if subjects and person not in subjects:
                raise DatasetError(
                    f"{path}, {where}: the dataset has nobody called '{person}': "
                    f"did you mean '{nearest(person, subjects)}'?"
                )
            seen[person] = where
    if not seen:
        raise DatasetError(f"{path} names nobody: write the tested people of one fold in each line")
    return Protocol(name, 1, tuple(folds.values()))


def _text_folds(text: str) -> dict[str, tuple[str, ...]]:
    """Fold by fold, keyed by the number of the line."""
    folds = {}
    for number, line in enumerate(text.splitlines(), 1):
        names = line.partition("#")[0].strip()
        people = [one.strip() for one in names.split(",")] if "," in names else names.split()
        if any(people):
            folds[f"line {number}"] = tuple(one for one in people if one)
    return folds


def _json_folds(text: str) -> dict[str, tuple[str, ...]]:
    """Fold by fold, keyed by ``fold <key>``; numbers as keys are ordered by value."""
    read = json.loads(text)
    if isinstance(read, list):
        read = {str(number): people for number, people in enumerate(read, 1)}
    if not isinstance(read, Mapping) or not all(
        isinstance(people, list) and all(isinstance(one, str) for one in people) for people in read.values()
    ):
        raise ValueError('it is not of the form {"1": ["F001", ...], "2": [...]}')
    keys = sorted(read, key=lambda key: (not key.isdecimal(), int(key) if key.isdecimal() else 0, key))
    return {f"fold {key}": tuple(read[key]) for key in keys}


def check_disjoint(split: Split, protocol: str) -> None:
    """Refuse a split with one person in two parts.

    Raises:
        SubjectLeakError: names the person and both parts.
    """
    seen: dict[str, str] = {}
    for part in ("train", "val", "test"):
        for subject in split.part(part):
            if subject in seen:
                raise SubjectLeakError.of(subject, seen[subject], part, protocol)
            seen[subject] = part
