"""Looking rows of a dataset up in tests, and building fakes anew below a test's own folder."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.base import AUDataModule
from datamodules.options import DatasetSettings
from tests.datamodules.helpers import dataset


def fake(name: str, root: Path) -> DatasetSettings:
    """The fake of a dataset, written below ``root``."""
    settings: DatasetSettings = importlib.import_module(f"tests.data.{name}.data").write(root)
    return settings


def opened(name: str, settings: DatasetSettings, strict: bool = False, **options: Any) -> AUDataModule:
    """A dataset set up as for a run, with some of its options changed."""
    return dataset(name, replace(settings, strict=strict, options=replace(settings.options, **options)))


def row_of(module: AUDataModule, sample_id: str) -> int:
    """Number of a row."""
    found = np.flatnonzero(module.index.sample_ids == sample_id)
    assert len(found) == 1, f"{sample_id} is not among {module.index.sample_ids.tolist()}"
    return int(found[0])


def labels_of(module: AUDataModule, sample_id: str) -> dict[str, float]:
    """Labels of a row by code."""
    values = module.index.labels[row_of(module, sample_id)].tolist()
    return dict(zip(module.asked_aus, values, strict=True))


def present_in(module: AUDataModule, sample_id: str) -> set[str]:
    """Codes whose label is not 0."""
    return {code for code, value in labels_of(module, sample_id).items() if value}


def ids_of(module: AUDataModule) -> list[str]:
    """Every sample."""
    return [str(one) for one in module.index.sample_ids]


def messages(module: AUDataModule, kind: str) -> list[str]:
    """What was found of a kind."""
    return [finding.message for finding in module.findings if finding.kind == kind]
