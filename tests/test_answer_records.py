"""Answers are kept beside the faces they are about, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aullava.answer_records import answer_tables, keep_answers, kept_answers, terms_of
from aullava.evaluation.errors import ResultError
from aullava.evaluation.rows import row_key
from aullava.training.module import Rows
from datamodules.mixture import Mixture
from datamodules.options import DatasetSettings
from tests.data.bp4d.data import write
from tests.datamodules.helpers import LOADING, dataset


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> DatasetSettings:
    return write(tmp_path_factory.mktemp("records"))


@pytest.fixture
def data(settings: DatasetSettings) -> Mixture:
    return Mixture([dataset("bp4d", settings)], LOADING)


def _rows(data: Mixture) -> dict[str, Rows]:
    """What a module would keep: ordered by key, answers that are all right."""
    member = data.members[0]
    chosen = sorted(member.rows("test"), key=lambda row: row_key(str(member.index.sample_ids[row])))
    keys = torch.tensor([row_key(str(member.index.sample_ids[row])) for row in chosen], dtype=torch.float64)
    labels = torch.from_numpy(member.index.labels[chosen]).double()
    return {"bp4d": (keys, labels, labels, labels / 2 + 0.25)}


def test_answers_stand_beside_their_faces(data: Mixture, tmp_path: Path) -> None:
    member = data.members[0]
    tables = answer_tables(_rows(data), data, "test")
    keep_answers(tmp_path, "test", tables)
    table = kept_answers(tmp_path, "test")["bp4d"]
    rows = list(member.rows("test"))
    assert table.sample_ids == [str(member.index.sample_ids[row]) for row in rows]
    assert table.subjects == [str(member.index.subjects[row]) for row in rows]
    assert (table.labels == member.index.labels[rows]).all()
    assert (table.answers == table.labels).all()
    assert set(table.attributes) == set(member.index.attributes)


def test_answers_that_do_not_pair_up_are_refused(data: Mixture) -> None:
    keys, *rest = _rows(data)["bp4d"]
    lost = {"bp4d": (keys[1:], *(one[1:] for one in rest))}
    with pytest.raises(ResultError, match=r"24 faces of 'bp4d' were asked about and 23 answers came back"):
        answer_tables(lost, data, "test")  # type: ignore[arg-type]
    strange = {"bp4d": (keys + 1, *rest)}
    with pytest.raises(ResultError, match="do not pair up"):
        answer_tables(strange, data, "test")  # type: ignore[arg-type]


def test_terms_tell_what_was_tested(settings: DatasetSettings) -> None:
    whole = terms_of(dataset("bp4d", settings))
    assert terms_of(dataset("bp4d", settings, fold=2)) == whole  # folds of one protocol share a table
    for change in ({"aus": ("AU1", "AU2")}, {"protocol": "leave_one_subject_out"}):
        assert terms_of(dataset("bp4d", settings, **change)).fingerprint() != whole.fingerprint()
    assert terms_of(dataset("bp4d", settings), limit=3).fingerprint() != whole.fingerprint()
