from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aullava.config.changes import changes, flat
from aullava.config.load import resolve
from aullava.config.schema import Config
from aullava.resumption import for_this_world, refuse_another_run
from aullava.training.errors import RunError
from aullava.training.snapshots import Snapshot
from tests.tiny_runs import DEMO


def _config(*overrides: str) -> Config:
    return resolve(DEMO, overrides).config


def _snapshot() -> Snapshot:
    return Snapshot(4, 2, 8, 0.0, flat(_config()), "", {}, {}, {}, {}, {}, [])


def test_what_learning_does_not_hang_on_may_change() -> None:
    moved = ["runs_dir=/elsewhere", "data.num_workers=3", "trainer.val_every=9", "evaluation.baselines=false"]
    moved += ["data.datasets.synthetic_bp4d.root=/elsewhere", "trainer.save_every=7"]
    refuse_another_run(_snapshot(), _config(*moved), Path("runs/demo/1"))


def test_every_key_that_differs_is_named() -> None:
    other = _config("seed=5", "optim.lr_lora=0.5", "trainer.accumulate=2", "data.num_workers=1")
    assert set(changes(flat(_config()), other)) == {"seed", "optim.lr_lora", "trainer.accumulate"}
    with pytest.raises(RunError, match="seed was 0 and is now 5") as caught:
        refuse_another_run(_snapshot(), other, Path("runs/demo/1"))
    assert "trainer.accumulate was 1 and is now 2" in str(caught.value)


def test_a_dataset_more_or_less_is_named() -> None:
    config = _config()
    fewer = replace(config, data=replace(config.data, datasets={}))
    assert any(key.startswith("data.datasets.synthetic_bp4d.") for key in changes(flat(config), fewer))
    assert any(key.startswith("data.datasets.synthetic_bp4d.") for key in changes(flat(fewer), config))


def test_a_run_of_before_a_key_goes_on_with_its_default_only() -> None:
    before = flat(_config())
    older = {key: value for key, value in before.items() if not key.startswith("optim.loss_weight.")}
    assert len(older) == len(before) - 3
    assert changes(older, _config()) == {}
    assert changes(older, _config("optim.loss_weight.level=2")) == {"optim.loss_weight.level": (1.0, 2.0)}


@pytest.mark.parametrize(("size", "batch"), [(1, 8), (2, 4), (4, 2), (8, 1)])
def test_another_number_of_processes_shares_the_same_images(size: int, batch: int) -> None:
    config = for_this_world(_snapshot(), _config("data.batch_size=4"), size, Path("runs/demo/1"))
    assert config == _config(f"data.batch_size={batch}")


def test_another_number_of_processes_that_would_learn_something_else_is_refused() -> None:
    run = Path("runs/demo/1")
    with pytest.raises(RunError, match="by 2 processes and would go on with 3, which cannot share the 8 im"):
        for_this_world(_snapshot(), _config(), 3, run)
    dropout = _config("adapter.dropout=0.1")
    for_this_world(_snapshot(), dropout, 2, run)
    with pytest.raises(RunError, match="would go on with 1, each drawing other dropout: give it 2 again"):
        for_this_world(_snapshot(), dropout, 1, run)
