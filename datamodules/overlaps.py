"""The same person under several datasets of a mixture: found by identity, refused or left out. No torch here.

DISFA+ and FEAFA+ part B show people of DISFA. Whoever trains on one of them and tests on another has seen the
tested people. A dataset says who its people are (`AUDataModule.identity`); here the parts are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from datamodules.errors import EmptyDatasetError, SubjectLeakError
from datamodules.protocols import Split

STRICTNESS: Final = ("train", "val", "test")
"""The parts, the one that counts most last: whoever is tested anywhere must not be trained on elsewhere."""


@dataclass(frozen=True, slots=True)
class Members:
    """The people of one dataset of a mixture.

    Attributes:
        dataset: its registered name.
        split: who trains, validates and is tested.
        identity: a subject of the dataset to a name of the person that all datasets share.
    """

    dataset: str
    split: Split
    identity: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Appearance:
    """A person in one part of one dataset, under the name that this dataset has for them."""

    dataset: str
    subject: str
    part: str


def appearances(datasets: Sequence[Members]) -> dict[str, list[Appearance]]:
    """Where every person appears, by identity; sorted, so that messages do not depend on chance."""
    found: dict[str, list[Appearance]] = {}
    for one in datasets:
        for part in STRICTNESS:
            for subject in one.split.part(part):
                found.setdefault(one.identity(subject), []).append(Appearance(one.dataset, subject, part))
    return dict(sorted(found.items()))


def check_apart(datasets: Sequence[Members]) -> None:
    """Refuse a mixture in which somebody is in different parts.

    Raises:
        SubjectLeakError: names the person, both datasets and both parts, and what to do.
    """
    for person, places in appearances(datasets).items():
        first = places[0]
        for other in places[1:]:
            if other.part != first.part:
                raise SubjectLeakError.across(
                    person,
                    (first.dataset, first.subject, first.part),
                    (other.dataset, other.subject, other.part),
                )


def without_overlaps(datasets: Sequence[Members]) -> tuple[dict[str, Split], Mapping[str, tuple[str, ...]]]:
    """Leave people out of training and validation who are tested (or validate) elsewhere in the mixture.

    No test part changes, so that its scores stay comparable: whoever is tested in one dataset is left out of
    the training and validation parts of the others, and whoever validates is left out of training.

    Returns:
        The new split of each dataset, and for each dataset the people that were left out (empty ones too).

    Raises:
        EmptyDatasetError: nobody would be left in a part.
    """
    strictest = {
        person: max((place.part for place in places), key=STRICTNESS.index)
        for person, places in appearances(datasets).items()
    }
    splits, left_out = {}, {}
    for one in datasets:
        kept = {
            part: tuple(who for who in one.split.part(part) if strictest[one.identity(who)] == part)
            for part in STRICTNESS
        }
        gone = {who for part in STRICTNESS for who in set(one.split.part(part)) - set(kept[part])}
        for part in STRICTNESS:
            if not kept[part]:
                raise EmptyDatasetError(
                    f"dataset '{one.dataset}' has nobody left in its {part} part once the people are left "
                    "out whom other datasets of the mixture test: choose another protocol or fold for it"
                )
        splits[one.dataset] = Split(kept["train"], kept["val"], kept["test"])
        left_out[one.dataset] = tuple(sorted(gone))
    return splits, left_out
