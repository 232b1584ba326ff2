"""The projector's start: whitening, evidence, and that it sees nothing but training people."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aullava.alignment import align_projector, linear_evidence
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
    weight = torch.randn(3, 6)
    whitening.install(layer, weight)
    assert torch.allclose(layer(features), whitening(features) @ weight.T, atol=1e-4)


def test_evidence_points_where_the_amount_shows() -> None:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(600, 9, 8, generator=generator)
    amounts = torch.rand(600, generator=generator)
    direction = torch.nn.functional.normalize(torch.randn(8, generator=generator), dim=0)
    tokens[:, 4] += 4.0 * (amounts - 0.5)[:, None] * direction
    both = torch.stack([amounts, torch.rand(600, generator=generator)], dim=1)
    known = torch.ones(600, 2, dtype=torch.bool)
    evidence = linear_evidence(tokens, both, known)
    assert evidence.explained[0] > 0.4
    assert torch.nn.functional.cosine_similarity(evidence.weight[0], direction, dim=0) > 0.9
    assert evidence.explained[1] < 0.1  # an amount that no place shows
    # What is not known is not read.
    known[:50] = False
    spoilt = both.clone()
    spoilt[:50] = 1e3
    hidden = linear_evidence(tokens, spoilt, known)
    assert torch.equal(hidden.weight, linear_evidence(tokens, both, known).weight)


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
