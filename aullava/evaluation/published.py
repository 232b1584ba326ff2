"""Published results to stand beside, copied as printed, with their sources and what is to be said of them.

Each file of `published/` holds the rows of one dataset. They are of one protocol, one set of Action Units and
one rule of what counts as present; a result of other terms is not set beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aullava.evaluation.answer_table import Terms
from datamodules.action_units import Scale

FOLDER: Final = Path(__file__).resolve().parent / "published"


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One row of somebody's table.

    Attributes:
        name: of the model.
        scores: F1 in [0, 1] by code; empty where only the average was printed.
        average: as printed, in [0, 1].
        sources: keys of `Published.sources`.
        caveat: what is to be said of it; mostly empty.
    """

    name: str
    scores: Mapping[str, float]
    average: float
    sources: tuple[str, ...]
    caveat: str

    def as_scores(self, aus: Sequence[str]) -> dict[str, float]:
        """As the tables take it: ``f1/<AU>``, NaN where nothing was printed, and ``f1_macro``."""
        each = {f"f1/{code}": self.scores.get(code, float("nan")) for code in aus}
        return each | {"f1_macro": self.average}


@dataclass(frozen=True, slots=True)
class Published:
    """What was published about one dataset.

    Attributes:
        dataset: registered name.
        aus: of its table; `folds`: how many were averaged; `protocols`: names of ours that are the same.
        faces: in the test folds together, `people`: in them; None: not known.
        present_from: the level from which a unit counts as present there.
        floor: F1 of "everything is present" there, in per cent; None: not known.
        sources: key -> where it was read.
        caveats: about all rows.
        rows: in the order of their averages within what gave all columns, then the averages alone.
    """

    dataset: str
    aus: tuple[str, ...]
    folds: int
    protocols: tuple[str, ...]
    faces: int | None
    people: int | None
    present_from: float
    floor: float | None
    sources: Mapping[str, str]
    caveats: tuple[str, ...]
    rows: tuple[PublishedRow, ...]

    def differences(self, terms: Terms, folds: int) -> list[str]:
        """In what a result differs, so that it may not share a table with these rows; empty: in nothing."""
        protocol = terms.protocol.rpartition(" v")[0]
        found = []
        if set(terms.aus) != set(self.aus):
            found.append(f"Action Units: {','.join(terms.aus)} / {','.join(self.aus)}")
        if protocol not in self.protocols or folds != self.folds:
            found.append(f"protocol: {protocol}, {folds} folds / {self.protocols[0]}, {self.folds} folds")
        cuts = sorted(set(terms.derived_from or ()) - {self.present_from})
        if cuts:
            said = ", ".join(f"{cut:g}" for cut in cuts)
            found.append(f"threshold: present from a level of {said} / {self.present_from:g}")
        if terms.faces is not None:
            found.append(f"test faces: at most {terms.faces} of each fold / all")
        return found


def published(terms: Terms) -> Published | None:
    """The published rows of a result's dataset; None: there are none, or they measure something else."""
    name = terms.dataset.partition(".")[0]
    path = FOLDER / f"{name}.json"
    if terms.scale is Scale.INTENSITY or not path.is_file():
        return None
    return _read(json.loads(path.read_text(encoding="utf-8")))


def _share(percent: float) -> float:
    """Without the noise of a division: 35.2 % is written as 0.352."""
    return round(percent / 100, 6)


def _read(plain: Mapping[str, Any]) -> Published:
    aus = tuple(plain["aus"])
    rows = tuple(
        PublishedRow(
            one["name"],
            {} if one["scores"] is None else {c: _share(v) for c, v in zip(aus, one["scores"], strict=True)},
            _share(one["average"]),
            tuple(one["sources"]),
            one["caveat"],
        )
        for one in plain["rows"]
    )
    return Published(
        plain["dataset"],
        aus,
        plain["folds"],
        tuple(plain["protocols"]),
        plain["faces"],
        plain["people"],
        float(plain["present_from_level"]),
        plain["floor"],
        plain["sources"],
        tuple(plain["caveats"]),
        rows,
    )
