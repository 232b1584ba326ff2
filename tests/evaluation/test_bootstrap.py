"""Drawing people by their counts gives what drawing their frames would, and at once."""

from __future__ import annotations

import time

import numpy as np
import torch
from scipy.stats import pearsonr
from sklearn.metrics import f1_score

from aullava.evaluation.agreement import icc, pearson
from aullava.evaluation.bootstrap import (
    counts_of_people,
    draw_people,
    drawn,
    interval,
    moments_of,
    numbered,
    sums_of_people,
)
from aullava.evaluation.decisions import f1
from aullava.evaluation.moments import moments

HALF = torch.tensor(0.5)


def _pairs(rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    target = (torch.rand(rows, columns) < 0.3).double()
    preds = torch.where(torch.rand(rows, columns) < 0.8, target, 1 - target)
    return preds, target, torch.rand(rows, columns) < 0.9


def test_a_draw_of_counts_is_a_draw_of_frames() -> None:
    pairs = _pairs(300, 2)
    amounts = (torch.randn(300, 2).double() + 3, torch.randn(300, 2).double() * 2 + 1e4, pairs[2])
    who, people = numbered([f"S{number % 7}" for number in range(300)])
    weights = draw_people(people, 20)
    scores = f1(drawn(counts_of_people(pairs, HALF, who, people), weights))
    sums = drawn(sums_of_people(amounts, who, people), weights)
    for at, weight in enumerate(weights):
        rows = torch.cat([(who == one).nonzero().flatten().repeat(int(n)) for one, n in enumerate(weight)])
        preds, target, known = (part[rows] for part in pairs)
        for column in range(2):
            kept = known[:, column]
            expected = f1_score(target[kept, column].numpy(), preds[kept, column].numpy())
            np.testing.assert_allclose(scores[at, column], expected, rtol=0, atol=1e-12)
        x, y, _ = (part[rows] for part in amounts)
        kept = known[:, 0]
        expected = pearsonr(x[kept, 0].numpy(), y[kept, 0].numpy()).statistic
        np.testing.assert_allclose(pearson(moments_of(sums))[at, 0], expected, rtol=0, atol=1e-9)
        np.testing.assert_allclose(
            icc(moments_of(sums))[at], icc(moments(x, y, known)).numpy(), rtol=0, atol=1e-9
        )
        error = ((x - y).abs() * known).sum(0) / known.sum(0)
        np.testing.assert_allclose(sums[at, 6] / sums[at, 0], error, rtol=1e-12)


def test_draws_repeat_and_are_of_as_many_people() -> None:
    weights = draw_people(5, 100, seed=3)
    assert torch.equal(weights, draw_people(5, 100, seed=3))
    assert not torch.equal(weights, draw_people(5, 100, seed=4))
    assert weights.sum(1).tolist() == [5] * 100


def test_an_interval_leaves_draws_without_support_out() -> None:
    found = interval(torch.cat([torch.arange(101.0), torch.tensor([torch.nan])]))
    np.testing.assert_allclose((found.low, found.high), (2.5, 97.5))
    assert np.isnan(interval(torch.full((3,), torch.nan)).low)


def test_a_full_test_set_is_drawn_a_thousand_times_in_seconds() -> None:
    pairs = _pairs(150_000, 12)
    who, people = numbered([f"S{number // 3659}" for number in range(150_000)])
    started = time.process_time()
    scores = f1(drawn(counts_of_people(pairs, HALF, who, people), draw_people(people, 1000)))
    assert time.process_time() - started < 5
    assert scores.shape == (1000, 12)
    assert not scores.isnan().any()
