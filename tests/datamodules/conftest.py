"""The small datasets are written once: no test changes their files."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from datamodules.options import DatasetSettings
from tests.datamodules.helpers import small

Small = Callable[[str], DatasetSettings]


@pytest.fixture(scope="session")
def settings_of(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Settings of a small instance of a registered dataset; the synthetic ones share their drawn faces."""

    def root_of(name: str) -> Path:
        kind = "synthetic" if name.startswith("synthetic_") else name
        return tmp_path_factory.getbasetemp() / "datasets" / kind

    return cache(lambda name: small(name, root_of(name)))
