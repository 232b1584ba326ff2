"""The table of predictions: one row for each picture, its columns known before the first one is read.

`file` (of a prepared store the sample), `frame` (of a video, counted from 0), `timestamp` in seconds,
`face_id`, the face's box in pixels, how sure the detector was, `success`; then for each Action Unit what was
asked of it: `AU12_p` the probability of presence, `AU12_c` the decision at its threshold, `AU12_r` the level
or intensity on OpenFace's scale from 0 to 5; then `certified` (free decoding would have written the same
answers), `contradiction` (Action Units whose decision and amount contradict each other) and `reason` (why a
row is empty).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TextIO

from aullava.inference.errors import PredictionError
from aullava.inference.predictor import Prediction
from aullava.inference.questions import Question
from datamodules.action_units import Scale

BEFORE: Final = (
    *("file", "frame", "timestamp", "face_id", "box_x", "box_y", "box_width", "box_height"),
    *("confidence", "success"),
)
AFTER: Final = ("certified", "contradiction", "reason")
FAINT: Final = 0.5
"""Below this amount (0-5) an Action Unit that is called present is contradicted."""
CLEAR: Final = 2.0
"""From this amount on (DISFA's rule for presence) one that is called absent is contradicted."""


def padded(code: str) -> str:
    """A code with a number of two digits, as OpenFace writes it: AU1 -> AU01, AU12L -> AU12L."""
    return re.sub(r"\d+", lambda number: f"{int(number[0]):02d}", code, count=1)


def _order(code: str) -> tuple[bool, int, str]:
    """Action Units by number, then action descriptors."""
    number = re.search(r"\d+", code)
    return code.removeprefix("AU")[:1].isalpha(), int(number[0]) if number else 0, code


@dataclass(frozen=True, slots=True)
class Row:
    """What a prediction says, Action Unit by Action Unit.

    Attributes:
        probabilities: of presence, by code.
        decisions: 0 or 1, by code.
        amounts: 0 to 5, by code.
        certified: whether every answer is what free decoding would have written; None: there is no answer.
        contradictions: codes.
    """

    probabilities: Mapping[str, float]
    decisions: Mapping[str, int]
    amounts: Mapping[str, float]
    certified: bool | None
    contradictions: tuple[str, ...]

    @classmethod
    def of(cls, prediction: Prediction, questions: Sequence[Question], expectation: bool) -> Self:
        """Read the answers; where two questions ask about one Action Unit, the first one's answer counts.

        Args:
            prediction: of a predictor.
            questions: of the same predictor.
            expectation: whether an intensity is its expectation instead of the number written.
        """
        probabilities: dict[str, float] = {}
        decisions: dict[str, int] = {}
        amounts: dict[str, float] = {}
        for question, answer in zip(questions, prediction.answers, strict=False):
            if question.scale is Scale.PRESENCE:
                for code, (probability, decision) in question.presence(answer).items():
                    if code not in probabilities:
                        probabilities[code], decisions[code] = probability, decision
                continue
            amount = expectation and question.scale is Scale.INTENSITY
            values = answer.expected if amount else answer.values
            for code, value in zip(answer.aus, values.tolist(), strict=True):
                amounts.setdefault(code, value * 5 / question.scale.top)
        contradictions = tuple(
            code
            for code, decision in decisions.items()
            if code in amounts and (amounts[code] < FAINT if decision else amounts[code] >= CLEAR)
        )
        certified = all(one.certified for one in prediction.answers) if prediction.answers else None
        return cls(probabilities, decisions, amounts, certified, contradictions)


class Columns:
    """The columns of a table.

    Args:
        questions: that are asked.
        aus: the codes that get columns; None: all.

    Attributes:
        header: their names.
    """

    def __init__(self, questions: Sequence[Question], aus: Sequence[str] | None = None) -> None:
        present, amount = (
            {
                code
                for question in questions
                if (question.scale is Scale.PRESENCE) == is_presence
                for code in question.aus
                if aus is None or code in aus
            }
            for is_presence in (True, False)
        )
        self.units = tuple(sorted(present | amount, key=_order))
        self._kinds = {
            code: ("p", "c") * (code in present) + ("r",) * (code in amount) for code in self.units
        }
        named = [f"{padded(code)}_{kind}" for code in self.units for kind in self._kinds[code]]
        self.header = (*BEFORE, *named, *AFTER)

    def cells(self, prediction: Prediction, row: Row) -> list[str]:
        """One line; what is not known is empty."""
        picture, face = prediction.picture, prediction.face
        box = [""] * 4 if face is None else [f"{value:.1f}" for value in face.box]
        found = {
            "p": {code: f"{value:.6f}" for code, value in row.probabilities.items()},
            "c": {code: str(value) for code, value in row.decisions.items()},
            "r": {code: f"{value:.3f}" for code, value in row.amounts.items()},
        }
        units = [found[kind].get(code, "") for code in self.units for kind in self._kinds[code]]
        seconds = "" if picture.seconds is None else f"{picture.seconds:.3f}"
        sure = "" if face is None else f"{face.score:.3f}"
        start = [*picture.name, seconds, "" if face is None else "0", *box, sure, str(int(face is not None))]
        certified = "" if row.certified is None else str(int(row.certified))
        contradictions = ";".join(code for code in row.contradictions if code in self.units)
        return [*start, *units, certified, contradictions, " ".join(prediction.reason.split())]


class TableFile:
    """A CSV that grows row by row and can be read at any time; `resume` goes on where a kill left it.

    Args:
        path: of the file.
        header: its columns.
        resume: whether rows that are there stay.

    Attributes:
        done: the names (file, frame) of the rows that were there, in order.

    Raises:
        PredictionError: without `resume`, there is a file already; with it, one of other columns.
    """

    def __init__(self, path: Path, header: Sequence[str], resume: bool) -> None:
        self.path = path
        self.done: list[tuple[str, str]] = []
        if path.exists() and not resume:
            raise PredictionError(f"{path} is there already: give another --out, or go on with --resume")
        if path.exists():
            self._take_over(tuple(header))
        self._file: TextIO = path.open("a", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")
        if not path.stat().st_size:
            self._writer.writerow(header)

    def _take_over(self, header: tuple[str, ...]) -> None:
        """Keep the whole rows; what a kill cut off within a row goes."""
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        rows = list(csv.reader(io.StringIO(whole, newline="")))
        if rows and tuple(rows[0]) != header:
            raise PredictionError(
                f"{self.path} has other columns than what is asked now: give the same run and options, or "
                "another --out"
            )
        if len(whole) < len(text):
            with self.path.open("r+b") as file:
                file.truncate(len(whole.encode()))
        self.done = [(row[0], row[1]) for row in rows[1:]]

    def write(self, cells: Sequence[str]) -> None:
        """Add a row, which is on disk when this returns."""
        self._writer.writerow(cells)
        self._file.flush()

    def close(self) -> None:
        """Write what is left."""
        self._file.close()


def skipped(done: Sequence[tuple[str, str]], names: Iterator[tuple[str, str]]) -> None:
    """Compare what an earlier table holds with what would be read first.

    Raises:
        PredictionError: other pictures, or another order.
    """
    for number, wanted in enumerate(done):
        found = next(names, None)
        if found != wanted:
            raise PredictionError(
                f"row {number + 1} of the table is about {wanted[0]} and the input is another: give --resume "
                "the same input in the same order"
            )
