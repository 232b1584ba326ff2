"""The probe solves scikit-learn's Ridge and LogisticRegression, chooses its penalties well, and is fast."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from aullava.evaluation import feature_space
from aullava.evaluation.feature_space import FeatureSpace
from aullava.evaluation.metrics import PerAUF1, PerAUMAE, PerAUPearson
from aullava.evaluation.probe import PENALTIES, Criterion, LinearProbe
from datamodules.action_units import UNKNOWN, Scale

AUS = ("AU1", "AU2", "AU4")
SIZES = {"wide": (90, 240), "tall": (200, 30), "square": (80, 80)}


def _images(rows: int, dim: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Correlated features far from zero mean and unit spread, and levels that depend on them with noise."""
    generator = torch.Generator().manual_seed(7)
    hidden = torch.randn(rows, 20, generator=generator, dtype=torch.float64)
    mix = torch.randn(20, dim, generator=generator, dtype=torch.float64)
    noise = torch.randn(rows, dim, generator=generator, dtype=torch.float64)
    features = (hidden @ mix + noise) * torch.linspace(0.1, 10, dim) + torch.linspace(-50, 50, dim)
    levels = (
        hidden[:, : len(AUS)] * 1.5 + 1 + 0.5 * torch.randn(rows, len(AUS), generator=generator)
    ).round()
    return features.to(dtype), levels.clamp(0, 5).to(dtype)


def _fit(features: Tensor, target: Tensor, scale: Scale, penalty: float) -> LinearProbe:
    space = FeatureSpace(features)
    return LinearProbe.fit(space, target, (features, target), aus=AUS, scale=scale, penalties=[penalty])


@pytest.fixture(params=[None, 8], ids=["direct", "iterated"])
def _eigenvectors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All eigenvectors, or too few of them, so that the solutions come from conjugate gradients."""
    if request.param is not None:
        monkeypatch.setattr(feature_space, "LEADING", request.param)


@pytest.mark.usefixtures("_eigenvectors")
@pytest.mark.parametrize("penalty", [0.1, 3.0, 300.0])
@pytest.mark.parametrize("size", SIZES)
def test_ridge_is_that_of_scikit_learn(size: str, penalty: float) -> None:
    features, target = _images(*SIZES[size])
    probe = _fit(features, target, Scale.LEVEL, penalty)
    assert probe.amount is not None
    scaler = StandardScaler().fit(features.numpy())
    reference = Ridge(alpha=penalty * features.shape[1]).fit(
        scaler.transform(features.numpy()), target.numpy()
    )
    scale = np.abs(reference.coef_).max()
    ours = probe.amount.weight.numpy().T * scaler.scale_
    np.testing.assert_allclose(ours, reference.coef_, rtol=0, atol=1e-6 * scale)
    np.testing.assert_allclose(probe.amount.bias, reference.intercept_, rtol=1e-6)


@pytest.mark.usefixtures("_eigenvectors")
@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("size", SIZES)
def test_logistic_regression_is_that_of_scikit_learn(size: str, penalty: float) -> None:
    features, levels = _images(*SIZES[size])
    target = (levels >= 2).double()
    probe = _fit(features, target, Scale.PRESENCE, penalty)
    assert probe.presence is not None
    scaler = StandardScaler().fit(features.numpy())
    x, (fresh, _) = scaler.transform(features.numpy()), _images(500, features.shape[1])
    for column in range(len(AUS)):
        reference = LogisticRegression(C=1 / (penalty * features.shape[1]), tol=1e-10, max_iter=10_000)
        reference.fit(x, target[:, column].numpy())
        ours = probe.presence.weight[:, column].numpy() * scaler.scale_
        np.testing.assert_allclose(
            ours, reference.coef_[0], rtol=0, atol=1e-3 * np.abs(reference.coef_).max()
        )
        decided = reference.predict(scaler.transform(fresh.numpy()))
        np.testing.assert_array_equal(probe.answer(fresh).values[:, column], decided)


def test_unknown_labels_are_left_out_of_the_fit() -> None:
    features, levels = _images(*SIZES["wide"])
    hidden = torch.rand_like(levels) < 0.3
    probe = _fit(features, levels.masked_fill(hidden, UNKNOWN), Scale.LEVEL, 1.0)
    assert probe.amount is not None
    assert probe.presence is not None
    scaler = StandardScaler().fit(features.numpy())  # of all images, known or not
    x = scaler.transform(features.numpy())
    for column in range(len(AUS)):
        known = ~hidden[:, column].numpy()
        labels = levels[:, column].numpy()[known]
        ridge = Ridge(alpha=features.shape[1]).fit(x[known], labels)
        ours = probe.amount.weight[:, column].numpy() * scaler.scale_
        np.testing.assert_allclose(ours, ridge.coef_, rtol=0, atol=1e-6 * np.abs(ridge.coef_).max())
        logistic = LogisticRegression(C=1 / features.shape[1], tol=1e-10, max_iter=10_000).fit(
            x[known], labels >= 2
        )
        logits = probe.presence.apply(features, probe.mean)[:, column].numpy()
        np.testing.assert_allclose(logits, logistic.decision_function(x), rtol=0, atol=1e-4)


def test_float32_decides_as_float64() -> None:
    features, levels = _images(150, 600)
    fresh, _ = _images(400, 600)
    for penalty in (0.1, 10.0):
        exact = _fit(features, levels, Scale.LEVEL, penalty).answer(fresh)
        quick = _fit(features.float(), levels.float(), Scale.LEVEL, penalty).answer(fresh.float())
        assert quick.values.dtype == torch.float32
        assert exact.present is not None
        assert quick.present is not None
        assert (quick.values == exact.values).double().mean() > 0.995
        assert (quick.present == exact.present).double().mean() > 0.995


def test_patch_features_of_any_shape_and_half_precision_are_flattened() -> None:
    features, levels = _images(60, 120, torch.float32)
    flat = _fit(features, levels, Scale.LEVEL, 1.0)
    patches = _fit(features.view(60, 10, 12), levels, Scale.LEVEL, 1.0)
    assert torch.equal(patches.answer(features.view(60, 10, 12)).values, flat.answer(features).values)
    half = _fit(features.half(), levels, Scale.LEVEL, 1.0)
    assert half.mean.dtype == torch.float32
    assert (half.answer(features.half()).values == flat.answer(features).values).float().mean() > 0.95


def test_a_feature_that_never_varies_counts_nothing() -> None:
    features, levels = _images(60, 40, torch.float32)
    features[:, 3] = 0.1
    probe = _fit(features, levels, Scale.LEVEL, 1.0)
    assert probe.amount is not None
    assert not probe.amount.weight[3].any()
    assert probe.amount.weight.isfinite().all()


def test_one_class_alone_gives_that_class() -> None:
    features, _ = _images(60, 100, torch.float32)
    target = torch.stack([torch.ones(60), torch.zeros(60), torch.full((60,), UNKNOWN)], 1)
    answer = _fit(features, target, Scale.PRESENCE, 1.0).answer(features)
    assert torch.equal(answer.values, torch.tensor([[1.0, 0.0, 0.0]]).expand(60, 3))


@pytest.mark.parametrize("scale", Scale)
def test_answers_lie_on_their_scale(scale: Scale) -> None:
    features, levels = _images(100, 300, torch.float32)
    target = {Scale.PRESENCE: (levels >= 2).float(), Scale.LEVEL: levels, Scale.INTENSITY: levels / 5}[scale]
    answer = _fit(features, target, scale, 0.1).answer(features * 1.3)  # far out: beyond both ends
    allowed = {Scale.PRESENCE: [0, 1], Scale.LEVEL: range(6), Scale.INTENSITY: np.arange(101) / 100}[scale]
    assert np.isin(answer.values.numpy(), np.array(allowed, dtype=np.float32)).all()
    assert (answer.present is None) == (scale is Scale.INTENSITY)


def test_each_action_unit_keeps_the_penalty_that_is_best_on_the_validation_people() -> None:
    features, levels = _images(160, 400, torch.float32)
    train, held = slice(0, 80), slice(80, 160)
    space, validation = FeatureSpace(features[train]), (features[held], levels[held])

    def fit(criterion: Criterion, penalties: tuple[float, ...]) -> LinearProbe:
        return LinearProbe.fit(
            space,
            levels[train],
            validation,
            aus=AUS,
            scale=Scale.LEVEL,
            criterion=criterion,
            penalties=penalties,
        )

    for criterion, metric, sign in ((Criterion.MAE, PerAUMAE, -1), (Criterion.PCC, PerAUPearson, 1)):
        scores, decisions = [], []
        for penalty in PENALTIES:
            answer = fit(criterion, (penalty,)).answer(features[held])
            assert answer.present is not None
            scores.append(sign * metric(AUS)(answer.values, levels[held]))
            decisions.append(PerAUF1(AUS)(answer.present, (levels[held] >= 2).float()))
        chosen = fit(criterion, PENALTIES)
        assert chosen.amount is not None
        assert chosen.presence is not None
        grid = torch.tensor(PENALTIES)  # falling, so that the first of equals is the larger penalty
        assert torch.equal(chosen.amount.l2, grid[torch.stack(scores).argmax(0)])
        assert torch.equal(chosen.presence.l2, grid[torch.stack(decisions).argmax(0)])


def test_an_action_unit_without_validation_support_takes_the_penalty_best_on_average() -> None:
    features, levels = _images(160, 400, torch.float32)
    space, truth = FeatureSpace(features[:80]), levels[80:] / 5
    truth[:, 1] = UNKNOWN
    probe = LinearProbe.fit(
        space,
        levels[:80] / 5,
        (features[80:], truth),
        aus=AUS,
        scale=Scale.INTENSITY,
        penalties=(1e6, 1.0),
    )
    assert probe.amount is not None
    assert probe.amount.l2.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("scale", Scale)
def test_safetensors_round_trip(scale: Scale, tmp_path: Path) -> None:
    features, levels = _images(60, 100, torch.float32)
    target = {Scale.PRESENCE: (levels >= 2).float(), Scale.LEVEL: levels, Scale.INTENSITY: levels / 5}[scale]
    probe = _fit(features, target, scale, 1.0)
    save_file(probe.tensors(), tmp_path / "probe.safetensors")
    loaded = LinearProbe.from_tensors(AUS, scale, load_file(tmp_path / "probe.safetensors"))
    before, after = probe.answer(features), loaded.answer(features)
    assert torch.equal(before.values, after.values)
    assert (before.present is None) == (after.present is None)


def test_foreign_tensors_are_refused_by_name() -> None:
    features, levels = _images(60, 100, torch.float32)
    tensors = _fit(features, levels, Scale.LEVEL, 1.0).tensors()
    with pytest.raises(
        ValueError, match=r"'presence.weight' of shape \(100, 2\) in .* scale level, .* \(100, 3\)"
    ):
        LinearProbe.from_tensors(AUS[:2], Scale.LEVEL, tensors)
    with pytest.raises(ValueError, match=r"'amount.weight' of shape None"):
        LinearProbe.from_tensors(AUS, Scale.PRESENCE, tensors)
    with pytest.raises(ValueError, match=r"'mean'.*got None"):
        LinearProbe.from_tensors(
            AUS, Scale.LEVEL, {name: one for name, one in tensors.items() if name != "mean"}
        )


def test_wrong_input_is_refused() -> None:
    features, levels = _images(60, 100, torch.float32)
    with pytest.raises(ValueError, match="two or more images"):
        FeatureSpace(features[:1])
    with pytest.raises(ValueError, match="NaN"):
        FeatureSpace(features.masked_fill(features > 0, torch.nan))
    with pytest.raises(ValueError, match=r"shape \[60, 3\]"):
        _fit(features, levels[:50], Scale.LEVEL, 1.0)
    with pytest.raises(ValueError, match="finite"):
        _fit(features, levels.masked_fill(levels == 0, torch.nan), Scale.LEVEL, 1.0)
    with pytest.raises(ValueError, match="has none"):
        LinearProbe(AUS, Scale.LEVEL, torch.zeros(100), None, None).answer(features)
    with pytest.raises(ValueError, match="100 features"):
        _fit(features, levels, Scale.LEVEL, 1.0).answer(features[:, :50])


def test_the_same_features_give_the_same_probe_whatever_the_random_state() -> None:
    features, levels = _images(60, 100, torch.float32)
    first = _fit(features, levels, Scale.LEVEL, 1.0).tensors()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    second = _fit(features, levels, Scale.LEVEL, 1.0).tensors()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.slow
def test_five_thousand_images_of_sixteen_thousand_features_take_seconds() -> None:
    """<= 20 s on two threads, as 40 s of processor time: other jobs on the machine do not count."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(6000, 500, generator=generator) * torch.arange(1, 501) ** -0.6
    features = hidden @ torch.randn(500, 16_000, generator=generator)
    target = (hidden[:, 5:17] * 12 + torch.randn(6000, 12, generator=generator) > 1).float()
    aus = [f"AU{number}" for number in range(12)]
    start = time.process_time()
    space = FeatureSpace(features[:5000])
    validation = (features[5000:], target[5000:])
    probe = LinearProbe.fit(space, target[:5000], validation, aus=aus, scale=Scale.PRESENCE)
    LinearProbe.fit(space, target[:5000], validation, aus=aus, scale=Scale.INTENSITY)
    assert time.process_time() - start < 40
    assert PerAUF1(aus)(probe.answer(features[5000:]).values, target[5000:]).mean() > 0.6
