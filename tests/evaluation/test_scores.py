"""A score book holds the scores its scale asks for, under flat names."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy, pearsonr
from sklearn.metrics import f1_score, mean_absolute_error

from aullava.evaluation.counts import AnswerDiversity, InvalidRate
from aullava.evaluation.scores import ScoreBook
from datamodules.action_units import UNKNOWN, Scale

AUS = ("AU1", "AU12L")


def _named(*names: str) -> set[str]:
    return {f"{name}{end}" for name in names for end in ("/AU1", "/AU12L", "_macro")}


ALWAYS = {"support/AU1", "support/AU12L", "invalid_rate", "answer_diversity", "label_diversity"}
F1 = {"f1_micro", "positives/AU1", "positives/AU12L"} | _named(
    *("f1", "precision", "recall", "accuracy", "balanced_accuracy", "f1_normalised"),
    *("auroc", "average_precision"),
)
AMOUNTS = _named("mae", "rmse", "pcc", "ccc", "icc")


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


def test_probabilities_rank_the_answers_of_presence() -> None:
    book = ScoreBook(["AU1", "AU2"], Scale.PRESENCE)
    target = torch.tensor([[1.0, 1.0], [0.0, UNKNOWN], [1.0, 0.0], [0.0, 1.0]])
    probabilities = torch.tensor([[0.9, UNKNOWN], [0.2, 0.1], [0.3, UNKNOWN], [0.4, UNKNOWN]])
    book.update(torch.ones(4, 2), target, probabilities=probabilities, ids=list("abcd"))
    scores = book.compute()
    assert scores["auroc/AU1"] == 0.75
    assert scores["average_precision/AU1"] == pytest.approx((1 + 2 / 3) / 2)
    assert math.isnan(scores["auroc/AU2"])  # free answers have no probability
    assert scores["auroc_macro"] == 0.75
    book.reset()
    book.update(torch.ones(4, 2), target)
    assert math.isnan(book.compute()["auroc_macro"])


@pytest.mark.parametrize("scale", [Scale.LEVEL, Scale.INTENSITY])
def test_a_threshold_of_the_dataset_gives_one_more_f1(scale: Scale) -> None:
    top = 5 if scale is Scale.LEVEL else 1
    target, values = (
        torch.rand(60, 2).mul(top).round(decimals=1),
        torch.rand(60, 2).mul(top).round(decimals=1),
    )
    book = ScoreBook(AUS, scale, [0.5 * top, 0.2 * top])
    book.update(values, target)
    scores = book.compute()
    for column, (code, share) in enumerate(zip(AUS, (0.5, 0.2), strict=True)):
        truth, said = (one[:, column].double().numpy() >= share * top for one in (target, values))
        assert scores[f"f1_at_threshold/{code}"] == pytest.approx(f1_score(truth, said), abs=1e-12)
    assert ("f1_macro" in scores) is (scale is Scale.LEVEL)


def test_a_model_that_answers_one_thing_is_told_by_its_diversity() -> None:
    book = ScoreBook(AUS, Scale.PRESENCE)
    target = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    book.update(torch.ones(4, 2), target)
    scores = book.compute()
    assert scores["answer_diversity"] == 1
    assert scores["label_diversity"] == pytest.approx(4)


def test_diversity_and_the_invalid_rate_equal_the_references() -> None:
    preds, target = torch.randint(0, 3, (400, 2)).float(), torch.ones(400, 2)
    _, counts = np.unique(preds.numpy(), axis=0, return_counts=True)
    diversity, invalid = AnswerDiversity(["AU1", "AU2"]), InvalidRate(["AU1", "AU2"])
    diversity.update(preds, target)
    assert diversity.compute().item() == pytest.approx(np.exp(entropy(counts)), abs=1e-12)
    preds[::7] = UNKNOWN
    target[::5] = UNKNOWN
    asked = np.arange(400) % 5 != 0
    share = (asked & (np.arange(400) % 7 == 0)).sum() / asked.sum()
    invalid.update(preds, target)
    assert invalid.compute().item() == pytest.approx(share, abs=1e-12)
