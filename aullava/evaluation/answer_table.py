"""What a model answered about the faces of one dataset, face by face: all results are made of such tables.

On disk a table is a Parquet file: `sample_id`, `subject`, whatever else the dataset knows of its faces
(`task`, `camera`, ...), and for each Action Unit `<AU>_label`, `<AU>_answer` and, for presence,
`<AU>_probability`; an empty cell is not known. The terms under which it may share a table with others stand
in the file's own metadata. No torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from aullava.evaluation.errors import ResultError
from datamodules.action_units import UNKNOWN, Scale

Values = npt.NDArray[np.float64]
_TERMS: Final = b"aullava"
_KINDS: Final = ("label", "answer", "probability")


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which terms a result was reached: only results with the same terms can be compared.

    Attributes:
        dataset: registered name, with the format where it is derived (`disfa.presence`).
        protocol: name and version of the split.
        folds: hash of who is tested in which fold.
        aus: codes of the Action Units, in order.
        scale: of labels and answers.
        present_from: the smallest value that counts as present; None: intensities, which have none.
        data: hash of all samples, people and labels of the dataset.
        faces: the largest number of test faces; None: all.
        derived_from: where presence is derived from levels or amounts, the value of each Action Unit from
            which it counts as present; None: it was coded so.
    """

    dataset: str
    protocol: str
    folds: str
    aus: tuple[str, ...]
    scale: Scale
    present_from: float | None
    data: str
    faces: int | None = None
    derived_from: tuple[float, ...] | None = None

    def fingerprint(self) -> str:
        """A short hash, equal for comparable results only."""
        return hashlib.sha256(json.dumps(self.plain(), sort_keys=True).encode()).hexdigest()[:16]

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        found = asdict(self) | {"aus": list(self.aus), "scale": self.scale.value}
        cuts = found.pop("derived_from")
        return found if cuts is None else found | {"derived_from": list(cuts)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Terms:
        """From what `plain` gave.

        Raises:
            KeyError, ValueError, TypeError: it is something else.
        """
        cuts = plain.get("derived_from")
        changed = {"aus": tuple(plain["aus"]), "scale": Scale(plain["scale"])}
        return cls(**{**plain, **changed, "derived_from": None if cuts is None else tuple(cuts)})

    def differences(self, other: Terms) -> list[str]:
        """What differs, in words."""
        mine, others = self.plain(), other.plain()
        return [
            f"{key}: {_said(mine.get(key))} / {_said(others.get(key))}"
            for key in {**mine, **others}
            if mine.get(key) != others.get(key)
        ]


@dataclass(frozen=True, slots=True)
class AnswerTable:
    """Answers beside labels.

    Attributes:
        terms: what they may be compared with.
        fold: which fold of the protocol was tested, from 1.
        sample_ids: N unique names; `subjects`: who is seen.
        labels: [N, A], UNKNOWN where not coded; `answers`: UNKNOWN where an answer could not be read;
            `probabilities`: of presence, UNKNOWN where there is none.
        attributes: more that is known of the faces, N texts each.
    """

    terms: Terms
    fold: int
    sample_ids: Sequence[str]
    subjects: Sequence[str]
    labels: Values
    answers: Values
    probabilities: Values
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def aus(self) -> tuple[str, ...]:
        """Codes of the columns."""
        return self.terms.aus

    @property
    def has_probabilities(self) -> bool:
        """Whether any answer came with one."""
        return bool((self.probabilities != UNKNOWN).any())

    def people(self) -> int:
        """How many people it shows."""
        return len(set(self.subjects))

    def rows(self, chosen: npt.NDArray[np.int64]) -> AnswerTable:
        """Some of the faces."""
        numbers = chosen.tolist()
        return replace(
            self,
            sample_ids=[self.sample_ids[at] for at in numbers],
            subjects=[self.subjects[at] for at in numbers],
            labels=self.labels[chosen],
            answers=self.answers[chosen],
            probabilities=self.probabilities[chosen],
            attributes={name: [column[at] for at in numbers] for name, column in self.attributes.items()},
        )

    def write(self, path: Path) -> None:
        """Write the Parquet file; the caller gives a temporary name and renames it."""
        columns: dict[str, Any] = {"sample_id": list(self.sample_ids), "subject": list(self.subjects)}
        columns |= {name: list(column) for name, column in self.attributes.items()}
        for at, code in enumerate(self.aus):
            for kind, values in zip(_KINDS, (self.labels, self.answers, self.probabilities), strict=True):
                if kind != "probability" or self.has_probabilities:
                    cells = values[:, at]
                    columns[f"{code}_{kind}"] = pa.array(cells, pa.float64(), mask=cells == UNKNOWN)
        about = json.dumps({"terms": self.terms.plain(), "fold": self.fold}).encode()
        pq.write_table(pa.table(columns).replace_schema_metadata({_TERMS: about}), path)

    @classmethod
    def read(cls, path: Path) -> AnswerTable:
        """Read what `write` wrote.

        Raises:
            ResultError: no such file, no Parquet, not one of ours, no row, or a sample twice.
        """
        try:
            table = pq.read_table(path)
            about = json.loads((table.schema.metadata or {})[_TERMS])
            terms, fold = Terms.of(about["terms"]), int(about["fold"])
            ids = table.column("sample_id").to_pylist()
            subjects = table.column("subject").to_pylist()
            labels, answers, probabilities = (_matrix(table, terms.aus, kind) for kind in _KINDS)
        except (OSError, pa.ArrowInvalid, KeyError, ValueError, TypeError) as error:
            raise ResultError(
                f"{path} holds no answers of a test ({_short(error)}): test the run again"
            ) from None
        if not ids:
            raise ResultError(f"{path} has no row: the fold is empty, test the run again")
        if len(set(ids)) < len(ids):
            twice = max(set(ids), key=ids.count)
            lines = [str(at) for at, one in enumerate(ids, 1) if one == twice]
            raise ResultError(
                f"{path}: sample '{twice}' stands twice (rows {', '.join(lines)}): test it again"
            )
        known = {"sample_id", "subject", *(f"{code}_{kind}" for code in terms.aus for kind in _KINDS)}
        more = {name: table.column(name).to_pylist() for name in table.column_names if name not in known}
        return cls(terms, fold, ids, subjects, labels, answers, probabilities, more)


def _matrix(table: pa.Table, aus: Sequence[str], kind: str) -> Values:
    if kind == "probability" and f"{aus[0]}_{kind}" not in table.column_names:
        return np.full((len(table), len(aus)), UNKNOWN)
    columns = [table.column(f"{code}_{kind}").to_numpy() for code in aus]
    return np.nan_to_num(np.stack(columns, axis=1).astype(np.float64), nan=UNKNOWN)


def _said(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(error: Exception) -> str:
    return str(error).partition("\n")[0]
