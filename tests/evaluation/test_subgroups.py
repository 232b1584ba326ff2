"""Groups of faces: each scored as if it were alone, with its own support."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from aullava.evaluation.errors import ComparisonError, ResultError
from aullava.evaluation.subgroups import NOT_SAID, column_of, read_people, subgroups
from datamodules.action_units import UNKNOWN
from tests.evaluation.answer_tables import presence_table

TABLE = presence_table(people=6, faces=30)


def test_a_group_is_scored_alone() -> None:
    found = subgroups(TABLE, column_of(TABLE, "task", {}), draws=50)
    assert list(found) == ["rest", "smile"]
    smile = np.asarray(TABLE.attributes["task"]) == "smile"
    known = smile & (TABLE.labels[:, 1] != UNKNOWN)
    expected = f1_score(TABLE.labels[known, 1], TABLE.answers[known, 1])
    mean = found["smile"].mean
    assert mean["f1/AU2"] == pytest.approx(expected, abs=1e-12)
    assert (mean["faces"], mean["people"], mean["support/AU2"]) == (smile.sum(), 6, known.sum())
    band = found["smile"].intervals["f1_macro"]
    assert band.low < mean["f1_macro"] < band.high


def test_people_come_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("subject,sex,age\nS100,F,20\nS101,M,\nS102,F,31\n")
    people = read_people(path)
    column = column_of(TABLE, "sex", people)
    assert set(column) == {"F", "M", NOT_SAID}
    assert people["age"]["S101"] == NOT_SAID
    assert subgroups(TABLE, column, draws=10)["F"].mean["people"] == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,sex\nS100,F\n", "1: give a column 'subject'"),
        ("subject,sex\nS100,F\nS100,M\n", "3: 'S100' stands in line 2 already"),
        ("subject,sex\nS100, F\n", "2: ' F' in column 'sex' is empty or has stray blanks"),
        ("subject;sex\nS100;F\n", "semicolons"),
    ],
)
def test_a_table_of_people_with_mistakes(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(text)
    with pytest.raises(ComparisonError, match=said):
        read_people(path)


def test_a_column_that_is_none() -> None:
    with pytest.raises(ResultError, match=r"no column 'sex' \(there is: task\)"):
        column_of(TABLE, "sex", {})
    with pytest.raises(ResultError, match="nobody of faces is among those"):
        column_of(TABLE, "sex", {"sex": {"X1": "F"}})
    many = presence_table(people=50, faces=1)
    with pytest.raises(ResultError, match="50 different values"):
        column_of(many, "who", {"who": {name: name for name in many.subjects}})
