"""Scores of groups of faces (a task, a sex, an age, ...), each with its support and its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from aullava.evaluation.answer_files import read_table, text
from aullava.evaluation.answer_table import AnswerTable
from aullava.evaluation.bootstrap import DRAWS
from aullava.evaluation.errors import ComparisonError, ResultError
from aullava.evaluation.fold_scores import FoldScores, fold_scores

NOT_SAID: Final = "(not said)"
MOST: Final = 40
"""Groups that a table may have: more are no groups but names of faces."""

People = Mapping[str, Mapping[str, str]]
"""Column -> person -> value."""


def read_people(path: Path) -> dict[str, dict[str, str]]:
    """What is known of people, from a CSV with a column `subject` and one for each attribute.

    Raises:
        ComparisonError: it cannot be read, has no such column, somebody stands twice, stray blanks.
    """
    table = read_table(path)
    place = table.column(("subject",))
    if place is None or len(table.header) < 2:
        raise ComparisonError(f"{path}:1: give a column 'subject' and one or more that tell of them")
    found: dict[str, dict[str, str]] = {name: {} for name in table.header if name != "subject"}
    lines: dict[str, int] = {}
    for line, cells in table.rows:
        where = f"{path}:{line}"
        person = text(cells[place], where, "subject")
        if person in lines:
            raise ComparisonError(f"{where}: '{person}' stands in line {lines[person]} already: take one out")
        lines[person] = line
        for name, cell in zip(table.header, cells, strict=True):
            if name != "subject":
                found[name][person] = text(cell, where, name) if cell else NOT_SAID
    return found


def column_of(table: AnswerTable, name: str, people: People) -> Sequence[str]:
    """The value of each face in a column: of its person in `people`, or what the dataset knows of it.

    Raises:
        ResultError: neither has this column, nobody in it is in the table, or it makes too many groups.
    """
    if name in people:
        known = people[name]
        if not set(known) & set(table.subjects):
            first = (next(iter(known), "nobody"), table.subjects[0])
            raise ResultError(
                f"nobody of {table.terms.dataset} is among those that '{name}' is known of (they "
                f"begin with '{first[0]}', the dataset's with '{first[1]}'): name them alike"
            )
        column: Sequence[str] = [known.get(person, NOT_SAID) for person in table.subjects]
    elif name in table.attributes:
        column = table.attributes[name]
    else:
        there = ", ".join(sorted({*people, *table.attributes})) or "none"
        raise ResultError(
            f"{table.terms.dataset} has no column '{name}' (there is: {there}): name one, or --people"
        )
    groups = len(set(column))
    if groups > MOST:
        raise ResultError(
            f"'{name}' has {groups} different values in {table.terms.dataset}: these are no groups"
        )
    return column


def subgroups(table: AnswerTable, column: Sequence[str], draws: int = DRAWS) -> dict[str, FoldScores]:
    """Scores of the faces of each value of a column, by value; supports stand among the scores."""
    values = np.asarray(column)
    found = {}
    for value in sorted(set(column)):
        part = table.rows(np.flatnonzero(values == value))
        scores = fold_scores({table.fold: part}, draws=draws)
        size = {"faces": float(len(part)), "people": float(part.people())}
        found[value] = FoldScores(scores.folds, size | scores.mean, scores.intervals)
    return found
