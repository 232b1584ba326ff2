"""Scores over folds are the field's means, and their intervals are those of drawing people in every fold."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from aullava.evaluation.fold_scores import constant, fold_scores
from aullava.evaluation.published import published
from datamodules.action_units import UNKNOWN, Scale
from tests.evaluation.answer_tables import AUS, presence_table, terms

TABLES = {fold: presence_table(people=5 + fold, faces=20, fold=fold, seed=fold) for fold in (1, 2, 3)}


def _f1(fold: int, at: int) -> float:
    table = TABLES[fold]
    known = table.labels[:, at] != UNKNOWN
    return float(f1_score(table.labels[known, at], table.answers[known, at]))


def test_a_mean_is_over_the_folds_of_what_is_pooled_within() -> None:
    found = fold_scores(TABLES, draws=50)
    for at, code in enumerate(AUS):
        each = [_f1(fold, at) for fold in TABLES]
        assert found.mean[f"f1/{code}"] == pytest.approx(np.mean(each), abs=1e-12)
    table = np.array([[_f1(fold, at) for at in range(3)] for fold in TABLES])
    assert found.mean["f1_macro"] == pytest.approx(table.mean(1).mean(), abs=1e-12)
    assert found.folds[2]["f1_macro"] == pytest.approx(table[1].mean(), abs=1e-12)
    known = sum(float((table.labels[:, 0] == 1).sum()) for table in TABLES.values())
    assert found.mean["positives/AU1"] == known


def test_intervals_hold_the_mean_and_repeat() -> None:
    found = fold_scores(TABLES)
    band = found.intervals["f1_macro"]
    assert band.low < found.mean["f1_macro"] < band.high
    assert fold_scores(TABLES).intervals == found.intervals
    assert band.high - band.low < found.intervals["f1/AU1"].high - found.intervals["f1/AU1"].low


def test_other_answers_are_scored_on_the_same_faces() -> None:
    floor = fold_scores(TABLES, ("f1",), {fold: constant(one, 1) for fold, one in TABLES.items()}, draws=20)
    share = TABLES[1].labels[:, 0]
    present = (share == 1).sum() / (share != UNKNOWN).sum()
    assert floor.folds[1]["f1/AU1"] == pytest.approx(2 * present / (1 + present), abs=1e-12)


def test_levels_have_errors_and_correlations_too() -> None:
    tables = {fold: presence_table(fold=fold, seed=fold, scale=Scale.LEVEL) for fold in (1, 2)}
    found = fold_scores(tables, draws=20)
    assert {"f1_macro", "icc_macro", "mae_macro"} <= set(found.mean)
    zero = fold_scores(tables, ("mae",), {fold: constant(one, 0) for fold, one in tables.items()}, draws=20)
    first = tables[1].labels[:, 1]
    assert zero.folds[1]["mae/AU2"] == pytest.approx(first[first != UNKNOWN].mean())


def test_published_rows_are_whole_and_tell_where_they_are_from() -> None:
    for name, count, best in (
        ("bp4d", 12, "FMAE-IAT"),
        ("disfa", 8, "FMAE-IAT"),
        ("bp4d_plus", 12, "FMAE-IAT"),
    ):
        found = published(terms(dataset=name))
        assert found is not None
        assert len(found.aus) == count
        full = [row for row in found.rows if row.scores]
        assert max(full, key=lambda row: row.average).name == best
        for row in found.rows:
            assert set(row.sources) <= set(found.sources)
            assert 0.15 < row.average < 0.8
            if row.scores and "printed average" not in row.caveat:
                assert np.mean(list(row.scores.values())) == pytest.approx(row.average, abs=0.0011)
    assert published(terms(dataset="feafa", scale=Scale.INTENSITY)) is None
    assert published(terms(dataset="gft")) is None
    assert published(terms(dataset="disfa.presence")) is not None


def test_other_terms_keep_published_rows_out() -> None:
    found = published(terms(dataset="disfa"))
    assert found is not None
    fits = terms(dataset="disfa", protocol="canonical_folds v1", aus=found.aus)
    assert found.differences(fits, 3) == []
    assert found.differences(terms(dataset="disfa", protocol="canonical_folds v1"), 3)[0].startswith(
        "Action Units"
    )
    assert found.differences(fits, 27) == ["protocol: canonical_folds, 27 folds / canonical_folds, 3 folds"]
    few = terms(dataset="disfa", protocol="canonical_folds v1", aus=found.aus, faces=10)
    assert found.differences(few, 3) == ["test faces: at most 10 of each fold / all"]
