"""The metrics are those of scikit-learn and SciPy, however the rows arrive, with UNKNOWN left out."""

from __future__ import annotations

import doctest
import importlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    mean_absolute_error,
    precision_score,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
)
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from aullava.evaluation.counts import AnswerDiversity, InvalidRate, PerAUSupport
from aullava.evaluation.metrics import (
    F1Micro,
    PerAUAccuracy,
    PerAUBalancedAccuracy,
    PerAUCCC,
    PerAUF1,
    PerAUICC,
    PerAUMAE,
    PerAUNormalisedF1,
    PerAUPearson,
    PerAUPrecision,
    PerAURecall,
    PerAURMSE,
)
from aullava.evaluation.per_au import PerAUMetric, macro
from aullava.evaluation.ranking import PerAUAUROC, PerAUAveragePrecision
from aullava.evaluation.rows import PerAURows, pairs_of
from aullava.evaluation.scores import ScoreBook
from datamodules.action_units import UNKNOWN, Scale

AUS = ("AU1", "AU2", "AU4", "AU12")
EXACT = 1e-12
Case = tuple[Callable[[], PerAUMetric], Callable[[np.ndarray, np.ndarray], float]]


def _skewed_f1(preds: np.ndarray, target: np.ndarray) -> float:
    """Absent rows weigh so that present and absent are equally frequent: what skew normalisation means."""
    weight = np.where(target, 1.0, target.sum() / (~target).sum())
    return float(f1_score(target, preds, sample_weight=weight))


def _ccc(x: np.ndarray, y: np.ndarray) -> float:
    covariance = np.cov(x, y, bias=True)
    return float(2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + (x.mean() - y.mean()) ** 2))


def _icc(x: np.ndarray, y: np.ndarray) -> float:
    """ICC(3,1) from the table of a two-way analysis of variance, written out."""
    table = np.stack([x, y], axis=1)
    n, k = table.shape
    rows, columns, mean = table.mean(1), table.mean(0), table.mean()
    ms_rows = k * ((rows - mean) ** 2).sum() / (n - 1)
    residual = table - rows[:, None] - columns[None] + mean
    ms_error = (residual**2).sum() / ((n - 1) * (k - 1))
    return float((ms_rows - ms_error) / (ms_rows + (k - 1) * ms_error))


CASES: dict[str, Case] = {
    "f1": (lambda: PerAUF1(AUS), lambda p, t: f1_score(t >= 0.5, p >= 0.5)),
    "f1 at level 2": (lambda: PerAUF1(AUS, threshold=2), lambda p, t: f1_score(t >= 2, p >= 2)),
    "precision": (lambda: PerAUPrecision(AUS, 2), lambda p, t: precision_score(t >= 2, p >= 2)),
    "recall": (lambda: PerAURecall(AUS, 2), lambda p, t: recall_score(t >= 2, p >= 2)),
    "accuracy": (lambda: PerAUAccuracy(AUS, 2), lambda p, t: accuracy_score(t >= 2, p >= 2)),
    "balanced accuracy": (
        lambda: PerAUBalancedAccuracy(AUS, 2),
        lambda p, t: balanced_accuracy_score(t >= 2, p >= 2),
    ),
    "skew-normalised f1": (lambda: PerAUNormalisedF1(AUS, 2), lambda p, t: _skewed_f1(p >= 2, t >= 2)),
    "auroc": (lambda: PerAUAUROC(AUS, 2), lambda p, t: roc_auc_score(t >= 2, p)),
    "average precision": (
        lambda: PerAUAveragePrecision(AUS, 2),
        lambda p, t: average_precision_score(t >= 2, p),
    ),
    "mae": (lambda: PerAUMAE(AUS), lambda p, t: mean_absolute_error(t, p)),
    "rmse": (lambda: PerAURMSE(AUS), lambda p, t: root_mean_squared_error(t, p)),
    "pcc": (lambda: PerAUPearson(AUS), lambda p, t: pearsonr(p, t).statistic),
    "ccc": (lambda: PerAUCCC(AUS), _ccc),
    "icc": (lambda: PerAUICC(AUS), _icc),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def _rows(count: int = 257) -> tuple[Tensor, Tensor]:
    """Levels and noisy predictions, a fifth of the labels and a tenth of the answers UNKNOWN."""
    target = torch.randint(0, 6, (count, len(AUS))).float()
    preds = (target + torch.randn_like(target) * 2).clamp(0, 5)
    target[torch.rand_like(target) < 0.2] = UNKNOWN
    preds[torch.rand_like(preds) < 0.1] = UNKNOWN
    return preds, target


def _of_all(metric: PerAUMetric, *parts: tuple[Tensor, Tensor]) -> Tensor:
    for preds, target in parts:
        metric.update(preds, target)
    value: Tensor = metric.compute()
    return value


def _chunks(rows: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    sizes = [1, 7, 0, 100, 149]
    return list(zip(torch.split(rows[0], sizes), torch.split(rows[1], sizes), strict=True))


def test_equals_the_reference(case: Case) -> None:
    make, reference = case
    preds, target = _rows()
    expected = []
    for column in range(len(AUS)):
        known = (preds[:, column] != UNKNOWN) & (target[:, column] != UNKNOWN)
        expected.append(
            reference(preds[known, column].double().numpy(), target[known, column].double().numpy())
        )
    np.testing.assert_allclose(_of_all(make(), (preds, target)).numpy(), expected, rtol=0, atol=EXACT)


def test_chunks_order_and_merging_do_not_matter(case: Case) -> None:
    make, _ = case
    rows = _rows()
    whole = _of_all(make(), rows)
    order = torch.randperm(len(rows[0]))
    torch.testing.assert_close(_of_all(make(), *_chunks(rows)), whole, rtol=0, atol=EXACT)
    torch.testing.assert_close(_of_all(make(), (rows[0][order], rows[1][order])), whole, rtol=0, atol=EXACT)
    merged, *others = [make() for _ in _chunks(rows)]
    for metric, part in zip([merged, *others], _chunks(rows), strict=True):
        metric.update(*part)
    for metric in others:
        merged.merge_state(metric)
    torch.testing.assert_close(merged.compute(), whole, rtol=0, atol=EXACT)


def test_forward_gives_the_batch_and_keeps_the_whole(case: Case) -> None:
    make, _ = case
    rows = _rows()
    metric = make()
    for part in _chunks(rows):
        if len(part[0]) > 10:
            torch.testing.assert_close(metric(*part), _of_all(make(), part), rtol=0, atol=EXACT)
        else:
            metric.update(*part)
    torch.testing.assert_close(metric.compute(), _of_all(make(), rows), rtol=0, atol=EXACT)
    metric.reset()
    torch.testing.assert_close(_of_all(metric, rows), _of_all(make(), rows), rtol=0, atol=0)


def test_scores_are_the_same_bits_in_any_order_and_number_of_parts(case: Case) -> None:
    make, _ = case
    preds, target = _rows()
    whole = _of_all(make(), (preds, target))
    assert torch.equal(_of_all(make(), *_chunks((preds.flip(0), target.flip(0)))), whole)
    for world in (2, 3):
        ranks = [make() for _ in range(world)]
        for rank, metric in enumerate(ranks):
            metric.update(preds[rank::world], target[rank::world])
        for other in ranks[1:]:
            ranks[0].merge_state(other)
        assert torch.equal(ranks[0].compute(), whole)


def test_the_order_is_that_of_the_sample_ids_whatever_the_values() -> None:
    preds, target = torch.randn(50, 4).abs(), torch.rand(50, 4)
    ids = [f"S{number:03}" for number in range(50)]
    order = torch.randperm(50)
    one, other = PerAURows(AUS), PerAURows(AUS)
    one.update(preds, target, ids)
    other.update(preds[order], target[order], [ids[at] for at in order])
    assert torch.equal(one.compute(), other.compute())
    assert len(set(one.compute()[:, 0].tolist())) == 50
    with pytest.raises(ValueError, match="Expected 50 ids"):
        one.update(preds, target, ids[:2])


def test_padding_takes_no_part_in_the_rows() -> None:
    metric = PerAURows(AUS[:1])
    metric.update(torch.ones(3, 1), torch.tensor([[1.0], [UNKNOWN], [0.0]]), ["a", "b", "a"])
    preds, target, known = pairs_of(metric.compute())
    assert target.flatten().tolist() == [0, 1]  # one id twice: the values decide
    assert known.all()
    assert preds.flatten().tolist() == [1, 1]


def test_micro_f1_pools_the_action_units() -> None:
    preds, target = _rows()
    known = (preds != UNKNOWN) & (target != UNKNOWN)
    expected = f1_score(target[known].numpy() >= 2, preds[known].numpy() >= 2)
    assert _of_all(F1Micro(AUS, 2), (preds, target)).item() == pytest.approx(expected, abs=EXACT)
    assert _of_all(F1Micro(AUS[:1]), (torch.ones(2, 1), torch.zeros(2, 1))).isnan()


def test_each_action_unit_may_have_its_own_threshold() -> None:
    preds, target = _rows()
    expected = [_of_all(PerAUF1(AUS, one), (preds, target))[at] for at, one in enumerate((1, 2, 3, 4))]
    assert torch.equal(_of_all(PerAUF1(AUS, (1, 2, 3, 4)), (preds, target)), torch.stack(expected))
    with pytest.raises(ValueError, match="one threshold or 4"):
        PerAUF1(AUS, (1, 2))


def test_precision_of_a_model_that_never_says_present_is_zero_and_not_left_out() -> None:
    preds, target = torch.zeros(3, 1), torch.tensor([[1.0], [0.0], [1.0]])
    assert _of_all(PerAUPrecision(["AU1"]), (preds, target)) == 0
    assert _of_all(PerAUPrecision(["AU1"]), (preds, preds)).isnan()


@pytest.mark.parametrize("make", [PerAUAUROC, PerAUBalancedAccuracy, PerAUNormalisedF1])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_scores_of_two_classes_are_nan_with_one(make: type[PerAUMetric], value: float) -> None:
    assert _of_all(make(["AU1"]), (torch.rand(5, 1), torch.full((5, 1), value))).isnan()


def test_diversity_is_one_in_a_collapse_and_counts_what_differs() -> None:
    target = torch.zeros(6, 2)
    same = torch.ones(6, 2)
    assert _of_all(AnswerDiversity(AUS[:2]), (same, target)) == 1
    different = torch.arange(12.0).reshape(6, 2)
    assert _of_all(AnswerDiversity(AUS[:2]), (different, target)).item() == pytest.approx(6)
    different[0] = UNKNOWN  # could not be read
    assert _of_all(AnswerDiversity(AUS[:2]), (different, target)).item() == pytest.approx(5)
    target[:, 1] = UNKNOWN  # not asked: what stands there tells nothing apart
    same[:, 1] = torch.arange(6.0)
    assert _of_all(AnswerDiversity(AUS[:2]), (same, target)) == 1
    assert _of_all(AnswerDiversity(AUS[:2]), (torch.full((2, 2), UNKNOWN), torch.ones(2, 2))).isnan()


@pytest.mark.parametrize(
    "make",
    [PerAUF1, PerAURecall, PerAUAveragePrecision, PerAUMAE, PerAURMSE, PerAUPearson, PerAUCCC, PerAUICC],
)
def test_without_support_is_nan_and_out_of_the_mean(make: type[PerAUMetric]) -> None:
    preds = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    target = torch.tensor([[1.0, UNKNOWN], [0.0, UNKNOWN], [1.0, UNKNOWN]])
    value = _of_all(make(AUS[:2]), (preds, target))
    assert value.isnan().tolist() == [False, True]
    assert macro(value) == value[0]
    assert macro(value[1:]).isnan()


def test_an_unknown_label_is_not_an_absent_one() -> None:
    preds, target = torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0], [UNKNOWN]])
    assert _of_all(PerAUF1(["AU1"]), (preds, target)) == 1


def test_f1_without_positives_is_nan_even_when_the_model_claims_some() -> None:
    assert _of_all(PerAUF1(["AU1"]), (torch.ones(3, 1), torch.zeros(3, 1))).isnan()
    assert _of_all(PerAUF1(["AU1"]), (torch.zeros(3, 1), torch.ones(3, 1))) == 0


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3, 1e6 + 0.1])
def test_predictions_that_never_vary_correlate_by_nothing(constant: float) -> None:
    target = torch.rand(100, 1, dtype=torch.float64)
    preds = torch.full_like(target, constant)
    parts = list(zip(torch.split(preds, 33), torch.split(target, 33), strict=True))
    assert _of_all(PerAUPearson(["AU1"]), *parts) == 0  # exactly: 0.1 summed up is not 0.1 times the count
    assert _of_all(PerAUPearson(["AU1"]), *[(truth, said) for said, truth in parts]).isnan()


def test_pearson_keeps_its_digits_far_from_zero() -> None:
    target = torch.randn(1000, 1, dtype=torch.float64) + 1e6
    preds = target + torch.randn_like(target)
    value = _of_all(PerAUPearson(["AU1"]), *zip(torch.split(preds, 10), torch.split(target, 10), strict=True))
    expected = pearsonr((preds - 1e6).squeeze().numpy(), (target - 1e6).squeeze().numpy()).statistic
    np.testing.assert_allclose(value.item(), expected, rtol=0, atol=1e-10)


def test_one_pair_has_no_correlation() -> None:
    assert _of_all(PerAUPearson(["AU1"]), (torch.ones(1, 1), torch.ones(1, 1))).isnan()


def test_perfect_agreement_is_exactly_one() -> None:
    target = torch.rand(1000, 1)
    assert _of_all(PerAUPearson(["AU1"]), *[(part, part) for part in torch.split(target, 7)]) <= 1
    torch.testing.assert_close(
        _of_all(PerAUPearson(["AU1"]), (target, target)).item(), 1.0, rtol=0, atol=EXACT
    )


def test_support_and_invalid_answers_are_counted() -> None:
    preds = torch.tensor([[1, 0], [UNKNOWN, UNKNOWN], [3, UNKNOWN], [UNKNOWN, UNKNOWN]])
    target = torch.tensor([[1, 0], [2, UNKNOWN], [2, UNKNOWN], [UNKNOWN, UNKNOWN]])
    assert _of_all(PerAUSupport(["AU1", "AU2"]), (preds, target)).tolist() == [2, 1]
    assert _of_all(PerAUSupport(["AU1", "AU2"], threshold=2), (preds, target)).tolist() == [1, 0]
    assert _of_all(InvalidRate(["AU1", "AU2"]), (preds, target)).item() == pytest.approx(
        1 / 3
    )  # the last row is padding
    assert _of_all(InvalidRate(["AU1", "AU2"]), (preds[3:], target[3:])).isnan()


def test_sums_stay_float64_when_a_model_changes_its_precision(case: Case) -> None:
    make, _ = case
    rows = _rows()
    for change in ("bfloat16", "half", "float"):
        metric = make()
        metric.update(*(part[:100] for part in rows))
        getattr(torch.nn.ModuleList([metric]), change)()
        torch.nn.ModuleList([metric]).to(torch.bfloat16)
        metric.update(*(part[100:] for part in rows))
        torch.testing.assert_close(metric.compute(), _of_all(make(), rows), rtol=0, atol=EXACT)


@pytest.mark.parametrize(
    ("preds", "target", "message"),
    [
        (torch.zeros(3), torch.zeros(3), "shape"),
        (torch.zeros(3, 4), torch.zeros(3, 5), "shape"),
        (torch.zeros(3, 4), torch.zeros(2, 4), "shape"),
        (torch.full((3, 4), torch.nan), torch.zeros(3, 4), "NaN"),
        (torch.zeros(3, 4), torch.full((3, 4), torch.inf), "NaN"),
    ],
)
def test_wrong_input_is_refused(case: Case, preds: Tensor, target: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        case[0]().update(preds, target)


@pytest.mark.parametrize("aus", [[], ["AU1", "AU1"]])
def test_action_units_must_differ(aus: list[str]) -> None:
    with pytest.raises(ValueError, match="different Action Units"):
        PerAUF1(aus)


@pytest.mark.parametrize("name", ["per_au", "metrics", "counts", "ranking", "rows", "scores", "tables"])
def test_examples_in_the_docstrings_hold(name: str) -> None:
    module = importlib.import_module(f"aullava.evaluation.{name}")
    result = doctest.testmod(module, extraglobs={"torch": torch})
    assert result.attempted > 0
    assert result.failed == 0


def _score_in_process(rank: int, world: int, folder: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world
    )
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = _rows()
    for number, (make, _) in enumerate(CASES.values()):
        value = _of_all(make(), *[part for at, part in enumerate(_chunks(rows)) if at % world == rank])
        torch.save(value, f"{folder}/{number}-{rank}.pt")
    book = ScoreBook(AUS, Scale.LEVEL, (1.0, 2.0, 3.0, 3.0))
    ids = [f"S{number}" for number in range(len(rows[0]))]
    for start in range(0, 257, 10):  # 26 batches, the last of 7 rows
        if start // 10 % world == rank:
            part = slice(start, start + 10)
            book.update(rows[0][part], rows[1][part], ids=ids[part])
    Path(folder, f"book-{rank}.json").write_text(json.dumps(book.compute()))
    lonely = PerAUMAE(AUS)
    if rank == world - 1:
        lonely.update(*rows)
    torch.save(lonely.compute(), f"{folder}/lonely-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_score_as_one_to_the_last_bit() -> None:
    torch.manual_seed(0)
    rows = _rows()
    books = []
    for world in (1, 2, 3):
        with tempfile.TemporaryDirectory() as folder:
            spawn(_score_in_process, (world, folder), nprocs=world)  # type: ignore[no-untyped-call]
            for rank in range(world):
                for number, (make, _) in enumerate(CASES.values()):
                    value = torch.load(Path(folder, f"{number}-{rank}.pt"), weights_only=True)
                    assert torch.equal(value, _of_all(make(), rows))
                lonely = torch.load(Path(folder, f"lonely-{rank}.pt"), weights_only=True)
                assert torch.equal(lonely, _of_all(PerAUMAE(AUS), rows))
                books.append(Path(folder, f"book-{rank}.json").read_text())
    assert len(books) == 6
    assert len(set(books)) == 1
