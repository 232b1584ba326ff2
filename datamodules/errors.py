"""What can be wrong with a dataset, each in one sentence that says what to do.

The wording of every error stands once, in the class method `of`. The constructors take the finished
message alone, so that an error keeps its type when a DataLoader worker raises it: torch rebuilds it
in the main process from its type and one string.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from pathlib import Path
from typing import ClassVar, Self


class DatasetError(Exception):
    """A dataset is not as it should be; the message is one sentence for the user."""

    for_user: ClassVar[bool] = True


class MissingRootError(DatasetError):
    """The folder of a dataset was not given or does not exist."""

    @classmethod
    def of(cls, dataset: str, root: str | Path | None, expected: str) -> Self:
        """`root` is what the configuration says (None: nothing), `expected` what the folder must hold."""
        wrong = "has no root" if root is None else f"has a root that is not a folder ({root})"
        return cls(
            f"dataset '{dataset}' {wrong}: set data.datasets.{dataset}.root to the folder that holds "
            f"{expected}"
        )


class EmptyDatasetError(DatasetError):
    """A dataset, or one of its parts, came out without a sample."""

    @classmethod
    def of(cls, dataset: str, where: str | Path, expected: str) -> Self:
        """`where` was searched for `expected` (files of a pattern, people of a part, ...)."""
        return cls(f"dataset '{dataset}' found no samples in {where}: make sure that it holds {expected}")


class BrokenImageError(DatasetError):
    """An image is missing, truncated or not an image."""

    @classmethod
    def of(cls, path: str | Path, reason: str) -> Self:
        """`reason` is what the decoder said, in a few words."""
        return cls(
            f"image {path} cannot be read ({reason}): replace the file or take its row out of the labels"
        )


class BrokenVideoError(DatasetError):
    """A video is missing, truncated or not a video."""

    @classmethod
    def of(cls, path: str | Path, frame: int, reason: str) -> Self:
        """`frame` is the one that was wanted, counted from 0; `reason` says what stood against it."""
        return cls(
            f"video {path} cannot be read at frame {frame} ({reason}): copy the file anew from its source"
        )


class BrokenStoreError(DatasetError):
    """A file of prepared faces is missing, truncated or damaged."""

    @classmethod
    def of(cls, path: str | Path, reason: str) -> Self:
        """`path` is the file of the store, `reason` says what is wrong with it, in a few words."""
        return cls(
            f"prepared faces {path} cannot be read ({reason}): delete this file and run the same "
            "`aullava prepare` again, which makes it anew"
        )


class LabelOutOfRangeError(DatasetError):
    """A label is not a value of its scale."""

    @classmethod
    def of(cls, where: str | Path, code: str, value: float, scale: str, allowed: str) -> Self:
        """`where` is the file with its line, `scale` a word of `Scale`, `allowed` its values in words."""
        return cls(
            f"{where}: label {value:g} of {code} is outside the scale '{scale}' ({allowed}): "
            "correct the file, or mark the value as unknown"
        )


class UnknownActionUnitError(DatasetError):
    """A code that is not in the FACS vocabulary."""

    @classmethod
    def of(cls, code: str, known: Iterable[str]) -> Self:
        """`known` holds the codes that may have been meant."""
        return cls(
            f"unknown Action Unit '{code}': did you mean '{nearest(code, known)}'? "
            "(every code stands in datamodules/facs_table.py)"
        )


class UnknownDatasetError(DatasetError):
    """A name that no registered dataset has."""

    @classmethod
    def of(cls, name: str, known: Iterable[str]) -> Self:
        """`known` holds every registered name."""
        return cls(
            f"unknown dataset '{name}': did you mean '{nearest(name, known)}'? "
            "(`aullava datasets` lists all of them)"
        )


class SubjectLeakError(DatasetError):
    """One person stands in two parts that must not share people."""

    @classmethod
    def of(cls, subject: str, first: str, second: str, protocol: str) -> Self:
        """`first` and `second` are the two parts (train, validation, test) of `protocol`."""
        return cls(
            f"subject '{subject}' is in both {first} and {second} of protocol '{protocol}': "
            "give every subject to one part only"
        )

    @classmethod
    def across(cls, person: str, first: tuple[str, str, str], second: tuple[str, str, str]) -> Self:
        """`person` is known to two datasets; `first` and `second` are dataset, subject there, and part."""
        places = " and ".join(
            f"in the {part} part of '{dataset}' (as '{subject}')"
            for dataset, subject, part in (first, second)
        )
        return cls(
            f"person '{person}' is {places}, so a test would score people that were trained on: choose "
            "protocols and folds that put this person in one part, or set data.shared_people=leave_out to "
            "leave such people out of training and validation"
        )


def nearest(word: str, known: Iterable[str]) -> str:
    """The entry of `known` that looks most like `word`, upper and lower case alike.

    Raises:
        ValueError: `known` is empty.
    """

    def likeness(candidate: str) -> float:
        return SequenceMatcher(None, word.lower(), candidate.lower()).ratio()

    return max(known, key=likeness)
