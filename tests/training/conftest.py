from __future__ import annotations

from pathlib import Path

import pytest

from tests.checkpoints import Backbone, write_backbone


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    root: Path = tmp_path_factory.mktemp("backbone")
    return write_backbone(root)
