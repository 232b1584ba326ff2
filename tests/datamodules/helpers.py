"""Every registered dataset, small: what the contract tests run over."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from datamodules import registry
from datamodules.base import AUDataModule
from datamodules.options import DatasetSettings, LoaderSettings, SyntheticOptions
from datamodules.sample import AUSample

SMALL = SyntheticOptions(train_people=8, test_people=3, faces_per_person=4, test_faces_per_person=2, size=32)
LOADING = LoaderSettings(batch_size=4, eval_batch_size=5, seed=7)


def small(name: str, root: Path) -> DatasetSettings:
    """Settings of a small instance of a registered dataset whose files are written below ``root``.

    A dataset that draws its own faces gets few of them; every other brings ``tests/data/<name>/data.py`` with
    a function ``write(root) -> DatasetSettings``.
    """
    if name.startswith("synthetic_"):
        return DatasetSettings(root=root, options=SMALL)
    settings: DatasetSettings = importlib.import_module(f"tests.data.{name}.data").write(root)
    return settings


def dataset(
    name: str, settings: DatasetSettings, loading: LoaderSettings = LOADING, **changed: Any
) -> AUDataModule:
    """A registered dataset, set up as for a run; ``changed`` are fields of its settings."""
    found: AUDataModule = registry.load(name)(replace(settings, **changed), loading)
    found.prepare_data()
    found.setup("fit")
    return found


def batches(loader: Any, count: int) -> Iterator[list[AUSample]]:
    """The first batches of an endless loader."""
    return islice(iter(loader), count)
