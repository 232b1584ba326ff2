"""The embedded datasets: one population of drawn faces, coded the way BP4D, DISFA and FEAFA are coded.

Nobody's face and nobody's licence is needed. The three datasets show the same faces of the same people (their
options must agree); what differs is which Action Units are coded and on which scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS, Scale
from datamodules.base import AUDataModule
from datamodules.drawn_faces.actions import action_unit_value, draw_actions
from datamodules.drawn_faces.scene import draw_face
from datamodules.drawn_faces.store import Face, ensure_store, open_store, store_path
from datamodules.errors import DatasetError
from datamodules.index import Index
from datamodules.options import DatasetSettings, LoaderSettings, SyntheticOptions
from datamodules.protocols import Protocol

STORE = Path("data/synthetic")
"""Where the drawn faces are kept if no root is given, below the current folder."""


class Synthetic(AUDataModule):
    """Drawn faces with known Action Units; its subclasses say which are coded and how."""

    scale: ClassVar[Scale]
    protocols = ("held_out_people",)
    licence = "Apache-2.0; drawn by datamodules/drawn_faces, shows nobody"
    layout = (
        "nothing: the faces are drawn into data/synthetic (or the root, if one is given) when first needed"
    )
    log_images = True
    needs_root = False

    def __init__(self, settings: DatasetSettings, loading: LoaderSettings) -> None:
        super().__init__(settings, loading)
        self.options: SyntheticOptions = settings.options or SyntheticOptions()
        self._pictures: npt.NDArray[np.uint8] | None = None

    def faces(self) -> list[Face]:
        """Person and number of every face: training people first, then the held-out ones."""
        options = self.options
        trained = [(p, n) for p in range(options.train_people) for n in range(options.faces_per_person)]
        people = range(options.train_people, options.train_people + options.test_people)
        return trained + [(p, n) for p in people for n in range(options.test_faces_per_person)]

    def prepare_data(self) -> None:
        """Draw the faces if they are not on disk."""
        path = self._path()
        try:
            ensure_store(path, self.options.population, self.faces(), self.options.size)
        except OSError as error:
            raise DatasetError(
                f"dataset '{self.name}' cannot keep its drawn faces in {path.parent} ({error.strerror}): "
                f"set data.datasets.{self.name}.root to a folder that can be written"
            ) from error

    def build_index(self) -> Index:
        """Labels from the actions alone: nothing is drawn for them."""
        faces = self.faces()
        labels = np.array([self._labels(person, number) for person, number in faces], dtype=np.float32)
        ids = np.array([f"{_subject(person)}/{number:04d}" for person, number in faces])
        return Index(
            sample_ids=ids,
            subjects=np.array([_subject(person) for person, _ in faces]),
            places=np.array([str(row) for row in range(len(faces))]),
            labels=labels,
            origins=ids,
        )

    def load_image(self, place: str) -> npt.NDArray[np.uint8]:
        """The drawn face in row ``place`` of the store; without a store this face alone is drawn."""
        if self._pictures is None and not self._path().exists():
            return draw_face(self.options.population, *self.faces()[int(place)], self.options.size)[0]
        if self._pictures is None:
            self._pictures = open_store(self._path())
        return np.array(self._pictures[int(place)])

    def identity(self, subject: str) -> str:
        """The person of the drawn population: all codings show the same people."""
        return f"drawn {self.options.population}:{subject}"

    def pictures(self) -> str:
        """The store: the three synthetic datasets share it."""
        return f"{self._path()}{self.crops.told()}"

    def protocol(self, name: str, subjects: Sequence[str]) -> Protocol:
        """The last people of the population are tested, the others train."""
        first = self.options.train_people
        tested = {_subject(person) for person in range(first, first + self.options.test_people)}
        return Protocol(name, 1, (tuple(sorted(tested & set(subjects))),))

    def _path(self) -> Path:
        root = STORE if self.settings.root is None else self.settings.root
        return store_path(root, self.options.population, self.faces(), self.options.size)

    def _labels(self, person: int, number: int) -> list[float]:
        actions = draw_actions(np.random.default_rng([self.options.population, person, number]))
        return [code_amount(action_unit_value(actions, code), self.scale) for code in self.aus]


def _subject(person: int) -> str:
    return f"S{person + 1:03d}"


def code_amount(amount: float, scale: Scale) -> float:
    """What a coder would write for an amount in [0, 1].

    presence: 1 from half the way on. level: 0 (nothing) and 1-5 (traces to maximum, FACS A-E) by five equal
    steps. intensity: the amount, to 0.01 as FEAFA gives it.
    """
    if scale is Scale.PRESENCE:
        return float(amount >= 0.5)
    if scale is Scale.LEVEL:
        return float(min(5, math.ceil(amount * 5)))
    return round(amount, 2)


class SyntheticBP4D(Synthetic):
    """Drawn faces coded like BP4D: 12 Action Units, present or absent.

    **Source**: `datamodules/drawn_faces`. **Licence**: Apache-2.0; nobody is shown or asked. **Layout**:
    drawn into data/synthetic. **AUs and scale**: those of BP4D; presence. **Missing code**: none. **Known
    traps**: the three synthetic datasets show the same faces; a score on them says nothing about human
    ones.
    """

    name = "synthetic_bp4d"
    aus = BP4D_AUS
    scale = Scale.PRESENCE


class SyntheticDISFA(Synthetic):
    """Drawn faces coded like DISFA: 12 Action Units, levels 0-5.

    **Source**: `datamodules/drawn_faces`. **Licence**: Apache-2.0; nobody is shown or asked. **Layout**:
    drawn into data/synthetic. **AUs and scale**: those of DISFA; levels. **Missing code**: none. **Known
    traps**: the three synthetic datasets show the same faces; a score on them says nothing about human
    ones.
    """

    name = "synthetic_disfa"
    aus = DISFA_AUS
    scale = Scale.LEVEL
    threshold = 3.0  # the level that holds the amount from which `code_amount` calls a unit present, 0.5


class SyntheticFEAFA(Synthetic):
    """Drawn faces coded like FEAFA: 24 values in [0, 1], left and right apart.

    **Source**: `datamodules/drawn_faces`. **Licence**: Apache-2.0; nobody is shown or asked. **Layout**:
    drawn into data/synthetic. **AUs and scale**: those of FEAFA; intensities to 0.01. **Missing code**:
    none. **Known traps**: the three synthetic datasets show the same faces; a score on them says nothing
    about human ones.
    """

    name = "synthetic_feafa"
    aus = FEAFA_AUS
    scale = Scale.INTENSITY
    threshold = 0.5  # as `code_amount`
