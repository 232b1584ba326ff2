"""The projector's start: whitening, evidence, and that it sees nothing but training people."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aullava.alignment import align_projector, read_patches
from aullava.build import build_collator, build_data, build_model
from aullava.config.load import resolve
from aullava.models.projector import Whitening, build_projector
from aullava.vocabulary import vocabulary
from datamodules.base import AUDataModule
from tests.source_tree import REPOSITORY

SMALL = "{train_people: 6, test_people: 2, faces_per_person: 6, test_faces_per_person: 1}"


def correlated(rows: int, places: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(width, width, generator=generator)
    return torch.randn(rows, places, width, generator=generator) @ mixing + 3.0


def test_whitened_features_are_centred_and_uncorrelated() -> None:
    features = correlated(200, 5, 6)
    flat = Whitening.of(features)(features).flatten(0, 1)
    assert flat.mean(0).abs().max() < 1e-4
    covariance = torch.cov(flat.T)
    assert (covariance - torch.diag(covariance.diagonal())).abs().max() < 1e-3
    # Strong directions come out with unit variance, weak ones below it.
    assert covariance.diagonal().max() == pytest.approx(1.0, abs=0.02)
    assert covariance.diagonal().min() > 0.0


def test_a_layer_takes_the_whitening_in() -> None:
    features = correlated(50, 4, 6)
    whitening = Whitening.of(features)
    layer = torch.nn.Linear(6, 3)
    weight, bias = torch.randn(3, 6), torch.randn(3)
    whitening.install(layer, weight, bias)
    assert torch.allclose(layer(features), whitening(features) @ weight.T + bias, atol=1e-4)


def test_amounts_are_read_where_they_show() -> None:
    generator = torch.Generator().manual_seed(1)
    width = 12
    tokens = 0.5 * torch.randn(800, 9, width, generator=generator)
    tokens[:, range(9), range(9)] += 3.0  # every place can be told
    amounts = torch.rand(800, generator=generator)
    tokens[:, 4, 10] += 2.0 * (amounts - 0.5)
    both = torch.stack([amounts, torch.rand(800, generator=generator)], dim=1)
    known = torch.ones(800, 2, dtype=torch.bool)
    shown, hidden = read_patches(tokens, both, known, places=1)
    assert shown.explained > 0.4
    assert hidden.explained < 0.1  # an amount that no place shows
    where = tokens @ shown.place[0] + shown.place[1]
    assert (where.argmax(1) == 4).float().mean() > 0.95
    assert where[:, 4].mean() == pytest.approx(1.0, abs=0.02)
    read = tokens[:, 4] @ shown.amount[0] + shown.amount[1]
    assert float(torch.corrcoef(torch.stack([read, amounts]))[0, 1]) > 0.7
    assert float(read.mean()) == pytest.approx(float(amounts.mean()), abs=0.01)
    # What is not known is not read.
    known[:50, 0] = False
    spoilt = both.clone()
    spoilt[:50, 0] = 1e3
    again, clean = (read_patches(tokens, some, known, places=1)[0] for some in (spoilt, both))
    assert torch.equal(again.amount[0], clean.amount[0])
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
    explained = align_projector(model, build_collator(config, model), data)
    assert read == set(data.members[0].split.train)
    assert set(explained) >= {"AU12", "AU12L", "AU26"}
    after = model.projector.state_dict()
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    assert not torch.equal(before["weight"], after["weight"])
