"""Tables of answers come back as they were, and what is none of them is refused in one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aullava.evaluation.answer_table import AnswerTable, Terms
from aullava.evaluation.errors import ResultError
from datamodules.action_units import Scale
from tests.evaluation.answer_tables import presence_table, terms


def test_a_table_comes_back(tmp_path: Path) -> None:
    table = presence_table()
    table.write(tmp_path / "faces.parquet")
    found = AnswerTable.read(tmp_path / "faces.parquet")
    assert (found.terms, found.fold, found.subjects) == (table.terms, 1, table.subjects)
    assert found.attributes == table.attributes
    for name in ("labels", "answers", "probabilities"):
        np.testing.assert_array_equal(getattr(found, name), getattr(table, name))


def test_levels_have_no_probabilities_and_unknown_cells_are_empty(tmp_path: Path) -> None:
    whole = presence_table(scale=Scale.LEVEL)
    table = replace(whole, probabilities=np.full_like(whole.labels, -1))
    table.write(tmp_path / "faces.parquet")
    read = pq.read_table(tmp_path / "faces.parquet")
    assert not any("probability" in name for name in read.column_names)
    assert read.column("AU1_label").null_count == (table.labels[:, 0] == -1).sum() > 0
    assert not AnswerTable.read(tmp_path / "faces.parquet").has_probabilities


def test_terms_tell_what_differs() -> None:
    mine = terms()
    assert Terms.of(mine.plain()) == mine
    assert mine.differences(terms()) == []
    other = terms(aus=("AU1", "AU2"), protocol="thirds v2")
    assert mine.differences(other) == ["protocol: thirds v1 / thirds v2", "aus: AU1,AU2,AU12 / AU1,AU2"]
    assert mine.fingerprint() == terms().fingerprint() != other.fingerprint()


@pytest.mark.parametrize("damage", ["missing", "text", "foreign", "empty", "twice"])
def test_what_is_no_table_is_refused(damage: str, tmp_path: Path) -> None:
    path, table = tmp_path / "faces.parquet", presence_table()
    if damage == "text":
        path.write_text("no parquet")
    elif damage == "foreign":
        pq.write_table(pa.table({"sample_id": ["a"]}), path)
    elif damage == "empty":
        nothing = np.zeros((0, 3))
        replace(
            table,
            sample_ids=[],
            subjects=[],
            labels=nothing,
            answers=nothing,
            probabilities=nothing,
            attributes={},
        ).write(path)
    elif damage == "twice":
        replace(table, sample_ids=[table.sample_ids[0], *table.sample_ids[:-1]]).write(path)
    said = {"empty": "the fold is empty", "twice": "stands twice \\(rows 1, 2\\)"}.get(
        damage, "holds no answers"
    )
    with pytest.raises(ResultError, match=said):
        AnswerTable.read(path)
