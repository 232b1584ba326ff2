"""Temperatures and thresholds: they find what is known, keep what must stay, and change no raw score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve

from aullava.evaluation.calibration import (
    FILE,
    as_text,
    best_threshold,
    calibrated,
    fit_calibration,
    pr_points,
    read_calibration,
)
from aullava.evaluation.curves import reliability
from aullava.evaluation.errors import ResultError
from aullava.evaluation.thresholded import thresholded_answers, thresholded_scores, unsure_answers
from datamodules.action_units import UNKNOWN, Scale
from tests.evaluation.answer_tables import AUS, presence_table


def test_the_temperature_is_the_one_that_was_put_in() -> None:
    units = fit_calibration(presence_table(people=40, faces=100, sharpness=2.5))
    for code in AUS:
        assert units[code].temperature == pytest.approx(2.5, rel=0.1)


def test_probabilities_become_true_on_other_people() -> None:
    units = fit_calibration(presence_table(people=30, faces=60, sharpness=3, seed=1))
    scores = thresholded_scores(presence_table(people=30, faces=60, sharpness=3, seed=2), units)
    assert scores["ece_macro"] < 0.05 < scores["ece_raw_macro"]


def test_a_half_stays_a_half_and_unknown_stays_unknown() -> None:
    p = np.array([0.5, UNKNOWN, 0.0, 1.0, 0.8])
    found = calibrated(p, 3.0)
    assert (found[0], found[1]) == (0.5, UNKNOWN)
    assert 0 < found[2] < found[0] < found[4] < found[3] < 1
    np.testing.assert_array_equal(calibrated(p, 0.2)[[0, 2, 3, 4]] >= 0.5, p[[0, 2, 3, 4]] >= 0.5)


def test_the_threshold_is_the_best_of_all() -> None:
    rng = np.random.default_rng(3)
    p = np.round(rng.random(400), 2)  # many are equal
    y = rng.random(400) < p**2
    found = best_threshold(p, y)
    scores = [f1_score(y, p >= cut) for cut in np.linspace(0, 1, 201)]
    assert f1_score(y, p >= found) == pytest.approx(max(scores), abs=1e-12)


def test_a_threshold_that_gains_nothing_stays_at_a_half() -> None:
    assert best_threshold(np.array([0.9, 0.8, 0.2]), np.array([True, True, False])) == 0.5
    assert best_threshold(np.array([0.9, 0.8]), np.array([False, False])) == 0.5


def test_a_unit_of_one_class_takes_the_temperature_of_all_and_a_half() -> None:
    table = presence_table(people=20)
    labels = table.labels.copy()
    labels[:, 1] = 0
    units = fit_calibration(replace(table, labels=labels))
    assert (units["AU2"].threshold, units["AU2"].positives) == (0.5, 0)
    assert 1.3 < units["AU2"].temperature < 3


def test_a_few_faces_do_not_drive_a_temperature_to_the_edge() -> None:
    table = presence_table(people=20, faces=30, sharpness=1)
    labels, said = table.labels.copy(), table.probabilities.copy()
    labels[:, 2] = UNKNOWN
    labels[:4, 2], said[:4, 2] = [1, 0, 1, 0], [0.6, 0.4, 0.7, 0.3]  # told apart without a mistake
    assert 0.3 < fit_calibration(replace(table, labels=labels, probabilities=said))["AU12"].temperature < 1.2


def test_few_faces_choose_no_threshold_that_loses_on_others() -> None:
    """Of 40 faces each: a threshold of labels alone would lose on other people more often than not."""
    other = presence_table(people=40, faces=100, sharpness=1, seed=99)
    raw = {"AU1": 0.0}
    gained, alone = [], []
    for seed in range(20):
        few = presence_table(people=4, faces=10, sharpness=1, seed=seed)
        for at, code in enumerate(AUS):
            known, there = few.labels[:, at] != UNKNOWN, other.labels[:, at] != UNKNOWN
            p, y = other.probabilities[there, at], other.labels[there, at]
            raw[code] = f1_score(y, p >= 0.5)
            unit = fit_calibration(few)[code]
            gained.append(f1_score(y, calibrated(p, unit.temperature) >= unit.threshold) - raw[code])
            cut = best_threshold(few.probabilities[known, at], few.labels[known, at] == 1)
            alone.append(f1_score(y, p >= cut) - raw[code])
    assert np.mean(gained) > 0
    assert np.min(gained) > np.min(alone)
    assert np.std(gained) < np.std(alone)


def test_the_unsure_band_holds_the_threshold_and_its_faces_are_the_worse_ones() -> None:
    table, other = presence_table(people=15, faces=40), presence_table(people=15, faces=40, seed=9)
    units = fit_calibration(table)
    for one in units.values():
        assert 0 <= one.unsure_low <= one.threshold <= one.unsure_high <= 1
    unsure = unsure_answers(other, units)
    wrong = (thresholded_answers(other, units) != other.labels) & (other.labels != UNKNOWN)
    assert 0 < unsure.mean() < 0.5
    assert wrong[unsure].mean() > wrong[~unsure].mean()
    scores = thresholded_scores(other, units)
    assert scores["sure_f1_macro"] > scores["thresholded_f1_macro"]
    assert scores["unsure/AU1"] == pytest.approx(
        (unsure & (other.labels != UNKNOWN))[:, 0].sum() / (other.labels[:, 0] != UNKNOWN).sum()
    )


def test_thresholded_scores_have_names_of_their_own() -> None:
    table = presence_table()
    names = {name.partition("/")[0] for name in thresholded_scores(table, fit_calibration(table))}
    assert names == {
        *("thresholded_f1", "thresholded_f1_macro", "thresholded_f1_micro", "sure_f1", "sure_f1_macro"),
        *("ece_raw", "ece_raw_macro", "ece", "ece_macro", "unsure", "unsure_macro"),
    }


def test_the_thresholded_f1_is_scikit_learns() -> None:
    table, units = presence_table(seed=5), fit_calibration(presence_table(seed=4))
    said, scores = thresholded_answers(table, units), thresholded_scores(table, units)
    for at, code in enumerate(AUS):
        known = table.labels[:, at] != UNKNOWN
        expected = f1_score(table.labels[known, at], said[known, at])
        assert scores[f"thresholded_f1/{code}"] == pytest.approx(expected, abs=1e-12)


def test_what_is_tested_does_not_change_the_choice() -> None:
    """The order of faces and the names of people that validate are all that the numbers rest on."""
    table = presence_table(seed=7)
    assert as_text({"faces": fit_calibration(table)}) == as_text({"faces": fit_calibration(table)})
    assert as_text({"faces": fit_calibration(presence_table(seed=8))}) != as_text(
        {"faces": fit_calibration(table)}
    )


def test_levels_are_not_calibrated() -> None:
    table = presence_table(scale=Scale.LEVEL)
    with pytest.raises(ValueError, match="presence"):
        fit_calibration(table)


def test_the_file_comes_back(tmp_path: Path) -> None:
    units = {"faces": fit_calibration(presence_table())}
    (tmp_path / FILE).write_text(as_text(units))
    found = read_calibration(tmp_path)
    assert as_text(found) == as_text(units)
    assert read_calibration(tmp_path / "nothing") == {}
    (tmp_path / FILE).write_text('{"faces": [1]}')
    with pytest.raises(ResultError, match="is no calibration"):
        read_calibration(tmp_path)


def test_reliability_is_what_it_says() -> None:
    p = np.array([0.05, 0.05, 0.95, 0.95, 1.0])
    found = reliability(p, np.array([False, True, True, True, True]), bins=10)
    assert found.counts.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    assert found.seen[0] == 0.5
    assert found.error == pytest.approx((2 * 0.45 + 3 * (1 - 2.9 / 3)) / 5)
    assert np.isnan(reliability(np.zeros(0), np.zeros(0, bool)).error)


def test_precision_and_recall_are_scikit_learns() -> None:
    table = presence_table(seed=11)
    recall, precision = pr_points(table, "AU12")
    known = table.labels[:, 2] != UNKNOWN
    p, r, _ = precision_recall_curve(table.labels[known, 2], table.probabilities[known, 2])
    np.testing.assert_allclose(precision, p[:-1][::-1])
    np.testing.assert_allclose(recall, r[:-1][::-1])
