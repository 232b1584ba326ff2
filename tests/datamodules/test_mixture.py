"""Several datasets in one run: shares, people, and what Lightning makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor, nn

from datamodules import registry
from datamodules.base import AUDataModule
from datamodules.mixture import Mixture
from datamodules.options import LoaderSettings
from datamodules.sample import AUSample
from tests.datamodules.conftest import Small
from tests.datamodules.helpers import LOADING, batches, dataset

NAMES = ("synthetic_bp4d", "synthetic_feafa", "folder")


@pytest.fixture
def members(settings_of: Small) -> list[AUDataModule]:
    weights = (1.0, 2.0, 1.0)
    return [dataset(name, settings_of(name), weight=one) for name, one in zip(NAMES, weights, strict=True)]


Seen = tuple[str, str]  # subject, sample id


def _names(samples: Sequence[AUSample]) -> list[Seen]:
    return [(sample.subject, sample.sample_id) for sample in samples]


class _Watcher(lightning.LightningModule):
    """Learns nothing and remembers whom it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.trained: list[list[Seen]] = []
        self.validated: dict[int, list[Seen]] = {}
        self.tested: dict[int, list[Seen]] = {}

    def training_step(self, batch: list[Seen]) -> Tensor:
        self.trained.append(batch)
        return self.weight**2

    def validation_step(self, batch: list[Seen], number: int, dataloader_idx: int = 0) -> None:
        self.validated.setdefault(dataloader_idx, []).extend(batch)

    def test_step(self, batch: list[Seen], number: int, dataloader_idx: int = 0) -> None:
        self.tested.setdefault(dataloader_idx, []).extend(batch)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_each_dataset_gets_its_share_of_whole_batches(members: list[AUDataModule]) -> None:
    mixture = Mixture(members, LOADING)
    shown = list(batches(mixture.train_dataloader(), 12))
    assert all(len(batch) == LOADING.batch_size for batch in shown)
    assert Counter(batch[0].dataset for batch in shown) == dict(zip(NAMES, (3, 6, 3), strict=True))
    assert all(len({sample.dataset for sample in batch}) == 1 for batch in shown)


def test_lightning_trains_without_end_and_tests_each_dataset_alone(
    members: list[AUDataModule], tmp_path: Path
) -> None:
    mixture, model = Mixture(members, LOADING), _Watcher()
    mixture.connect(_names)
    trainer = lightning.Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        max_steps=30,
        max_epochs=-1,
        val_check_interval=15,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=mixture)
    assert len(model.trained) == 30
    trainer.test(model, datamodule=mixture, verbose=False)
    people = {subject for batch in model.trained for subject, _ in batch}
    for number, member in enumerate(members):
        wanted = [str(member.index.sample_ids[row]) for row in member.rows("test")]
        assert [sample_id for _, sample_id in model.tested[number]] == wanted
        assert len(model.validated[number]) == 2 * len(member.rows("val"))
        shown = {subject for subject, _ in model.tested[number] + model.validated[number]}
        assert shown.isdisjoint(people)


def test_who_makes_batches_reaches_every_member(members: list[AUDataModule]) -> None:
    mixture = Mixture(members, LOADING)
    mixture.connect(lambda samples: "train", lambda samples: "eval")
    assert next(iter(mixture.train_dataloader())) == "train"
    loaders = [*mixture.val_dataloader(), *mixture.test_dataloader()]
    assert {answer for loader in loaders for answer in loader} == {"eval"}


def test_setting_up_the_mixture_sets_up_its_members(settings_of: Small) -> None:
    fresh: list[AUDataModule] = [registry.load(name)(settings_of(name), LOADING) for name in NAMES]
    mixture = Mixture(fresh, LOADING)
    mixture.prepare_data()
    mixture.setup("fit")
    assert all(member._split is not None for member in fresh)


def test_the_fingerprint_follows_the_members_and_not_their_order(members: list[AUDataModule]) -> None:
    plain = Mixture(members, LOADING).fingerprint()
    assert Mixture(members[::-1], LOADING).fingerprint() == plain
    assert Mixture(members[:2], LOADING).fingerprint() != plain
    other = dataset("folder", members[2].settings, fold=2)
    assert Mixture([*members[:2], other], LOADING).fingerprint() != plain


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_each_global_batch(members: list[AUDataModule], world: int) -> None:
    def shown(loading: LoaderSettings, rank: int, size: int) -> list[list[str]]:
        mixture = Mixture(members, loading)
        mixture.trainer = type("Ranked", (), {"global_rank": rank, "world_size": size})()
        return [[one.sample_id for one in batch] for batch in batches(mixture.train_dataloader(), 8)]

    whole = shown(replace(LOADING, batch_size=LOADING.batch_size * world), 0, 1)
    parts = [shown(LOADING, rank, world) for rank in range(world)]
    assert [list(chain(*step)) for step in zip(*parts, strict=True)] == whole
