"""The metrics are those of scikit-learn and SciPy, however the rows arrive, with UNKNOWN left out."""

from __future__ import annotations

import doctest
import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import f1_score, mean_absolute_error
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from aullava.evaluation.counts import InvalidRate, PerAUSupport
from aullava.evaluation.metrics import PerAUF1, PerAUMAE, PerAUPearson
from aullava.evaluation.per_au import PerAUMetric, macro
from datamodules.action_units import UNKNOWN

AUS = ("AU1", "AU2", "AU4", "AU12")
EXACT = 1e-12
Case = tuple[Callable[[], PerAUMetric], Callable[[np.ndarray, np.ndarray], float]]

CASES: dict[str, Case] = {
    "f1": (lambda: PerAUF1(AUS), lambda p, t: f1_score(t >= 0.5, p >= 0.5)),
    "f1 at level 2": (lambda: PerAUF1(AUS, threshold=2), lambda p, t: f1_score(t >= 2, p >= 2)),
    "mae": (lambda: PerAUMAE(AUS), lambda p, t: mean_absolute_error(t, p)),
    "pcc": (lambda: PerAUPearson(AUS), lambda p, t: pearsonr(p, t).statistic),
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


def test_counts_are_the_same_bits_in_any_order() -> None:
    preds, target = _rows()
    assert torch.equal(
        _of_all(PerAUF1(AUS), *_chunks((preds.flip(0), target.flip(0)))),
        _of_all(PerAUF1(AUS), (preds, target)),
    )


@pytest.mark.parametrize("make", [PerAUF1, PerAUMAE, PerAUPearson])
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


@pytest.mark.parametrize("name", ["per_au", "metrics", "counts", "scores", "tables"])
def test_examples_in_the_docstrings_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"aullava.evaluation.{name}"))
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
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_score_as_one() -> None:
    with tempfile.TemporaryDirectory() as folder:
        spawn(_score_in_process, (2, folder), nprocs=2)  # type: ignore[no-untyped-call]
        torch.manual_seed(0)
        rows = _rows()
        for number, (make, _) in enumerate(CASES.values()):
            first, second = (
                torch.load(Path(folder, f"{number}-{rank}.pt"), weights_only=True) for rank in (0, 1)
            )
            assert torch.equal(first, second)
            torch.testing.assert_close(first, _of_all(make(), rows), rtol=0, atol=EXACT)
