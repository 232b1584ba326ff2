"""How a dataset is set up: what all have in common, and what only some of them know. No torch here.

A config is held against these dataclasses before anything heavy is imported, so a wrong value costs no
waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datamodules.action_units import Scale
    from datamodules.faces import FaceSettings


@dataclass(frozen=True, slots=True)
class DatasetSettings:
    """One dataset of a run.

    Attributes:
        root: folder that holds it; None where the dataset needs none or has a standard place.
        aus: codes to learn and score, in this order; None: all that the dataset codes.
        protocol: name of the split; None: the dataset's first.
        fold: which fold is tested, from 1.
        weight: share of the training batches, relative to the other datasets' weights.
        options: the dataset's own options, an instance of its options dataclass (None: their defaults).
        prepared: a store of face crops written by `aullava prepare`, read instead of the original pictures.
        strict: stop at the first finding instead of leaving the row out and reporting it.
        faces: crop the face out of every original picture while it is read; None: the whole picture.
        formats: in which formats each picture is asked about; None: the dataset's own scale alone.
    """

    root: Path | None = None
    aus: tuple[str, ...] | None = None
    protocol: str | None = None
    fold: int = 1
    weight: float = 1.0
    options: Any = None
    prepared: Path | None = None
    strict: bool = False
    faces: FaceSettings | None = None
    formats: tuple[Scale, ...] | None = None


@dataclass(frozen=True, slots=True)
class LoaderSettings:
    """How samples are fed.

    Attributes:
        batch_size: samples of a training batch on one device.
        eval_batch_size: samples decoded at once.
        num_workers: loader processes; 0 reads in the main process.
        flip: probability of a horizontal mirror in training.
        seed: decides order and augmentation.
        val_samples: samples of each dataset used in a validation, spread evenly over it; None: all.
        test_samples: the same for a test.
    """

    batch_size: int = 32
    eval_batch_size: int = 64
    num_workers: int = 0
    flip: float = 0.5
    seed: int = 0
    val_samples: int | None = None
    test_samples: int | None = None

    def limit(self, part: str) -> int | None:
        """How many samples of ``val`` or ``test`` are scored; None: all."""
        return self.val_samples if part == "val" else self.test_samples


@dataclass(frozen=True, slots=True)
class MixtureSettings:
    """How the datasets of a run are mixed.

    Attributes:
        temperature: see `datamodules.sampling.shares`; None: the datasets' weights alone decide.
        balance: ``none``, or ``rare``: faces with rare Action Units come more often in training.
        shared_people: what happens to a person who is in different parts of two datasets: ``refuse`` the
            mixture, or ``leave_out`` of training and validation whoever is tested elsewhere.
        shared_image: whether a face is asked in all formats of its dataset in one batch; otherwise each
            format has batches of its own.
    """

    temperature: float | None = None
    balance: str = "none"
    shared_people: str = "refuse"
    shared_image: bool = True


@dataclass
class SyntheticOptions:
    """Size of the drawn population; the synthetic datasets show the same faces if their options agree."""

    train_people: int = 240
    """People of the training part; the validation people are taken out of them."""
    test_people: int = 30
    """Held-out people."""
    faces_per_person: int = 40
    """Faces of each training person."""
    test_faces_per_person: int = 25
    """Faces of each held-out person."""
    size: int = 96
    """Side of the pictures in pixels."""
    population: int = 0
    """Seed of the population; 1 is the one that the tiny encoder learned on."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if self.train_people < 5 or self.test_people < 1:
            raise ValueError("at least 5 training people and 1 test person are needed: give larger numbers")
        if min(self.faces_per_person, self.test_faces_per_person) < 1:
            raise ValueError("every person needs at least one face: give larger numbers")
        if not 32 <= self.size <= 1024:
            raise ValueError(f"size={self.size} is outside 32 to 1024 pixels: give a value between")


@dataclass
class FolderOptions:
    """Columns of the label table of a plain folder."""

    table: str = "labels.csv"
    """Label file below the root: CSV with a header, or Parquet."""
    image: str = "image"
    """Column with the path of the picture, relative to the root."""
    subject: str = "subject"
    """Column with the person."""
    scale: str = "presence"
    """What the AU columns mean: presence, level or intensity."""
    unknown: str = "-1"
    """Text of a cell whose AU was not coded; empty cells are unknown too."""
    folds: int = 3
    """Folds of the protocol people_folds."""
    folds_file: str = ""
    """Your list for the protocol own_folds: the tested people of one fold in each line."""
    present_from: float | None = None
    """Level or intensity from which a unit counts as present, for the format presence and balance=rare."""
    same_people_as: str = ""
    """The dataset whose people these are, under the same names: bp4d for a copy of BP4D. A mixture then never
    trains on a person here and tests them there."""

    def __post_init__(self) -> None:
        """Refuse what no table can have."""
        if self.scale not in ("presence", "level", "intensity"):
            raise ValueError(f"scale '{self.scale}' is not one of presence, level, intensity")
        if self.folds < 2:
            raise ValueError("folds must be at least 2: one is tested, the others train")
