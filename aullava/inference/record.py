"""Keeps predictions as they come: a card of each picture, then its row in the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aullava.inference.overlay import card
from aullava.inference.predictor import Prediction
from aullava.inference.questions import Question
from aullava.inference.table import Columns, Row, TableFile
from datamodules.images import write_png


class Record:
    """A table of predictions that grows, and their cards.

    Args:
        path: of the table.
        questions: that are asked.
        aus: the codes that get columns; None: all.
        expectation: whether an intensity is its expectation instead of the number written.
        resume: whether rows that are there stay.
        cards: folder for the cards; None: none are drawn.

    Attributes:
        table: the file.
        answered: rows that have answers, those of before not counted.
        reason: why the last one without an answer has none.

    Raises:
        PredictionError: as `TableFile`.
    """

    def __init__(
        self,
        path: Path,
        questions: Sequence[Question],
        aus: Sequence[str] | None,
        expectation: bool,
        resume: bool,
        cards: Path | None,
    ) -> None:
        self.questions = questions
        self.expectation = expectation
        self.cards = cards
        self.columns = Columns(questions, aus)
        self.table = TableFile(path, self.columns.header, resume)
        self.answered = 0
        self.reason = ""

    def add(self, prediction: Prediction) -> None:
        """Keep one; its row comes last, so that whatever a row stands for is complete."""
        picture = prediction.picture
        if self.cards is not None and picture.frame is None:
            drawn = card(prediction)
            name = f"{picture.number:04d}_{Path(picture.file).stem}.png"
            if drawn is not None:
                write_png(self.cards / name, drawn)
        row = Row.of(prediction, self.questions, self.expectation)
        self.table.write(self.columns.cells(prediction, row))
        self.answered += not prediction.reason
        self.reason = prediction.reason or self.reason
