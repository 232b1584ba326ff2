from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator
from tests.checkpoints import Backbone, build_collator, build_model, trained, write_backbone


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    root: Path = tmp_path_factory.mktemp("backbone")
    return write_backbone(root)


@pytest.fixture(scope="module")
def model(backbone: Backbone) -> FaceLanguageModel:
    torch.manual_seed(3)
    return trained(build_model(backbone))


@pytest.fixture(scope="module")
def collator(backbone: Backbone) -> Collator:
    return build_collator(backbone)
