"""The projector's start: whitening, evidence, and that it sees nothing but training people."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sklearn.linear_model import Ridge

from aullava import patch_readings
from aullava.alignment import align_projector, whitening
from aullava.build import build_collator, build_data, build_model
from aullava.config.load import resolve
from aullava.models.projector import build_projector
from aullava.patch_readings import FLOOR, RIDGE, PatchSums, explained_at, read_patches
from aullava.training.processes import Processes
from aullava.vocabulary import vocabulary
from datamodules.base import AUDataModule
from tests.source_tree import REPOSITORY

SMALL = "{train_people: 6, test_people: 2, faces_per_person: 6, test_faces_per_person: 1}"


def correlated(rows: int, places: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(width, width, generator=generator)
    return torch.randn(rows, places, width, generator=generator) @ mixing + 3.0


def summed(tokens: torch.Tensor, amounts: torch.Tensor, known: torch.Tensor, batch: int = 7) -> PatchSums:
    sums = PatchSums(amounts, known)
    for start in range(0, len(tokens), batch):
        sums.add(tokens[start : start + batch])
    return sums


def test_whitened_features_are_uncorrelated_and_equally_large() -> None:
    flat = correlated(200, 5, 6).flatten(0, 1)
    white = (flat - flat.mean(0)) @ whitening(torch.cov(flat.T))
    assert torch.allclose(torch.cov(white.T), torch.eye(6), atol=1e-4)


def test_sums_are_those_of_all_faces_at_once() -> None:
    tokens, amounts = correlated(100, 5, 6), torch.rand(100, 3)
    known = torch.rand(100, 3) < 0.8
    sums, whole = summed(tokens, amounts, known), summed(tokens, amounts, known, batch=100)
    flat = tokens.flatten(0, 1)
    assert torch.allclose(sums.mean, flat.mean(0), atol=1e-4)
    exact = torch.cov(flat.T, correction=0)
    assert torch.allclose(sums.covariance - FLOOR * exact.diagonal().mean() * torch.eye(6), exact, atol=1e-3)
    explained, at_once = (explained_at(one, one.covariance) for one in (sums, whole))
    assert torch.allclose(explained, at_once, atol=1e-4)
    wanted = torch.stack([amounts[known[:, column], column].mean() for column in range(3)])
    assert torch.allclose(sums.means, wanted)


def test_the_shares_of_two_processes_make_the_sums_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, amounts = correlated(101, 5, 6), torch.rand(101, 3)
    known = torch.rand(101, 3) < 0.8
    whole = summed(tokens, amounts, known)
    told = lambda _, tensors: tensors["origin"].copy_(whole.origin)  # noqa: E731 - what the first one broadcasts
    monkeypatch.setattr(Processes, "same", told)
    parts = [PatchSums(amounts, known, Processes(rank, rank, 2)) for rank in (0, 1)]
    for part in parts:
        for start in range(part.share.start, part.share.stop, 9):
            part.add(tokens[start : min(start + 9, part.share.stop)])
    names = ("faces", "features", "products", "crossed", "amounts", "squares")
    others = iter([getattr(parts[1], name) for name in names])
    monkeypatch.setattr(patch_readings, "total", lambda mine: mine + next(others))
    parts[0].join()
    for name in names:
        assert torch.allclose(getattr(parts[0], name), getattr(whole, name), rtol=1e-4, atol=1e-2), name
    assert parts[0].faces.tolist() == whole.faces.tolist() == [75, 26]


def test_explained_is_what_a_ridge_learnt_on_the_others_leaves() -> None:
    """Against scikit-learn on three quarters of the faces, scored on the last one."""
    tokens = correlated(200, 4, 6)
    amounts = (tokens[:, 1, :2] - tokens[:, 1, :2].mean(0)) / 20 + 0.5 + 0.1 * torch.randn(200, 2)
    sums = summed(tokens, amounts, torch.ones(200, 2, dtype=torch.bool))
    # The penalty in units of the covariance is an ordinary one for whitened features.
    white = ((tokens - sums.mean) @ whitening(sums.covariance)).numpy()
    explained = explained_at(sums, sums.covariance)
    for place in range(4):
        for column in range(2):
            y = amounts[:, column].numpy()
            model = Ridge(alpha=RIDGE * 150).fit(white[:150, place], y[:150])
            missed = y[150:] - y.mean() - (model.predict(white[150:, place]) - y[:150].mean())
            wanted = 1 - (missed**2).sum() / ((y[150:] - y.mean()) ** 2).sum()
            assert float(explained[place, column]) == pytest.approx(wanted, abs=2e-3)


def test_amounts_are_read_where_they_show() -> None:
    generator = torch.Generator().manual_seed(1)
    width = 12
    tokens = 0.5 * torch.randn(800, 9, width, generator=generator)
    tokens[:, range(9), range(9)] += 3.0  # every place can be told
    amounts = torch.rand(800, generator=generator)
    tokens[:, 4, 10] += 2.0 * (amounts - 0.5)
    both = torch.stack([amounts, torch.rand(800, generator=generator)], dim=1)
    known = torch.ones(800, 2, dtype=torch.bool)
    shown, hidden = read_patches(summed(tokens, both, known), places=1)
    assert shown.explained > 0.4
    assert hidden.explained < 0.1  # an amount that no place shows
    where = shown.place(tokens)
    assert (where.argmax(1) == 4).float().mean() > 0.95
    assert where[:, 4].mean() == pytest.approx(1.0, abs=0.02)
    read = shown.amount(tokens[:, 4])
    assert float(torch.corrcoef(torch.stack([read, amounts]))[0, 1]) > 0.7
    assert float(read.mean()) == pytest.approx(float(amounts.mean()), abs=0.01)
    # An expectation: how much the amount rises with it is 1.
    assert float(torch.cov(torch.stack([read, amounts]))[0, 1] / read.var()) == pytest.approx(1, abs=0.02)
    # What is not known is not read.
    known[:50, 0] = False
    spoilt = both.clone()
    spoilt[:50, 0] = 1e3
    again, clean = (read_patches(summed(tokens, some, known), places=1)[0] for some in (spoilt, both))
    assert torch.equal(again.amount.weight, clean.amount.weight)
    assert again.explained == clean.explained


def test_only_training_people_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("bp4d", "disfa", "feafa")
    overrides = [f"data.datasets.synthetic_{name}.options={SMALL}" for name in names]
    overrides += [f"data.datasets.synthetic_{name}.root={tmp_path}" for name in names]
    config = resolve(REPOSITORY / "experiments" / "demo.yaml", overrides, vocabulary()).config
    data = build_data(config)
    data.prepare_data()
    data.setup("fit")
    model = build_model(config)
    before = build_projector("linear", model.vision.dim, model.llm.config.hidden_size).state_dict()
    read: set[str] = set()
    load = AUDataModule.load_image

    def watched(self: AUDataModule, place: str) -> object:
        read.add(str(self.index.subjects[int(place)]))
        return original(self, place)

    original = type(data.members[0]).load_image
    assert original is not load
    for kind in {type(member) for member in data.members}:
        monkeypatch.setattr(kind, "load_image", watched)
    explained = align_projector(model, build_collator(config, model), data, Processes())
    assert read == set(data.members[0].split.train)
    assert set(explained) >= {"AU12", "AU12L", "AU26"}
    after = model.projector.state_dict()
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    assert not torch.equal(before["weight"], after["weight"])
