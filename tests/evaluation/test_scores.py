"""A score book holds the scores its scale asks for, under flat names."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import f1_score, mean_absolute_error

from aullava.evaluation.scores import ScoreBook
from datamodules.action_units import UNKNOWN, Scale

AUS = ("AU1", "AU12L")
ALWAYS = {"support/AU1", "support/AU12L", "invalid_rate"}
F1 = {"f1/AU1", "f1/AU12L", "f1_macro", "positives/AU1", "positives/AU12L"}
AMOUNTS = {"mae/AU1", "mae/AU12L", "mae_macro", "pcc/AU1", "pcc/AU12L", "pcc_macro"}


@pytest.mark.parametrize(
    ("scale", "names"),
    [(Scale.PRESENCE, F1), (Scale.LEVEL, F1 | AMOUNTS), (Scale.INTENSITY, AMOUNTS)],
)
def test_every_scale_has_its_scores(scale: Scale, names: set[str]) -> None:
    book = ScoreBook(AUS, scale)
    book.update(torch.ones(3, 2), torch.ones(3, 2))
    scores = book.compute()
    assert set(scores) == names | ALWAYS
    assert all(type(value) is float for value in scores.values())


def test_levels_are_scored_as_the_references_score_them() -> None:
    target = np.random.default_rng(0).integers(0, 6, (80, 2)).astype(np.float32)
    values = np.clip(target + np.random.default_rng(1).integers(-2, 3, target.shape), 0, 5).astype(np.float32)
    book = ScoreBook(AUS, Scale.LEVEL)
    for start in range(0, 80, 32):
        book.update(values[start : start + 32], target[start : start + 32])
    scores = book.compute()
    for column, code in enumerate(AUS):
        truth, said = target[:, column].astype(float), values[:, column].astype(float)
        assert scores[f"f1/{code}"] == pytest.approx(f1_score(truth >= 2, said >= 2), abs=1e-12)
        assert scores[f"mae/{code}"] == pytest.approx(mean_absolute_error(truth, said), abs=1e-12)
        assert scores[f"pcc/{code}"] == pytest.approx(pearsonr(truth, said).statistic, abs=1e-12)
        assert scores[f"positives/{code}"] == (truth >= 2).sum()
    assert scores["pcc_macro"] == pytest.approx((scores["pcc/AU1"] + scores["pcc/AU12L"]) / 2)


def test_unreadable_answers_are_counted_and_not_taken_for_absent() -> None:
    book = ScoreBook(AUS, Scale.PRESENCE)
    target = torch.tensor([[1.0, 1.0], [1.0, 0.0], [UNKNOWN, UNKNOWN]])  # the last row is padding
    book.update(torch.tensor([[1.0, 1.0], [UNKNOWN, UNKNOWN], [0.0, 0.0]]), target)
    scores = book.compute()
    assert scores["f1_macro"] == 1
    assert scores["invalid_rate"] == 0.5
    assert scores["support/AU1"] == 1


def test_an_action_unit_without_positives_is_out_of_the_mean() -> None:
    book = ScoreBook(AUS, Scale.PRESENCE)
    book.update(torch.tensor([[1.0, 1.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    scores = book.compute()
    assert math.isnan(scores["f1/AU12L"])
    assert scores["f1_macro"] == scores["f1/AU1"] == pytest.approx(2 / 3)


def test_a_baseline_may_decide_presence_apart_from_its_level() -> None:
    book = ScoreBook(["AU1"], Scale.LEVEL)
    target, levels = torch.tensor([[3.0], [0.0]]), torch.tensor([[1.0], [0.0]])
    book.update(levels, target, present=torch.tensor([[1.0], [0.0]]))
    scores = book.compute()
    assert scores["f1/AU1"] == 1
    assert scores["mae/AU1"] == 1


def test_reset_forgets() -> None:
    book = ScoreBook(AUS, Scale.INTENSITY)
    book.update(torch.rand(4, 2), torch.rand(4, 2))
    book.reset()
    book.update(torch.full((4, 2), 0.5), torch.full((4, 2), 0.25))
    assert book.compute()["mae_macro"] == 0.25
    assert book.compute()["support/AU1"] == 4


def test_a_precision_change_of_the_model_around_it_does_not_round_the_scores() -> None:
    target = torch.rand(500, 2)
    values = (target + 0.01).to(torch.float64)
    book = ScoreBook(AUS, Scale.INTENSITY)
    torch.nn.ModuleList([book]).to(torch.bfloat16)
    for start in range(0, 500, 10):
        book.update(values[start : start + 10], target[start : start + 10])
    assert book.compute()["mae_macro"] == pytest.approx((values - target).abs().mean().item(), abs=1e-12)
