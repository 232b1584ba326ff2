"""The danger finder finds each danger it names, and lets honest code through."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dangers import dangers
from tests.source_tree import load_tree


def _dangers(root: Path, text: str, name: str = "aullava/models/llm.py") -> list[str]:
    path = root / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return [line for module in load_tree(root).values() for line in dangers(module)]


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "def f() -> None:\n    from joblib import load",
        "import torch\ntorch.load('x.pt')",
        "import torch\ntorch.load('x.pt', weights_only=False)",
        "from torch import load",
        "torch.hub.load('a/b', 'c')",
        "Auto.from_pretrained('x', trust_remote_code=True)",
        "Auto.from_pretrained('x', trust_remote_code=flag)",
        "options = {'trust_remote_code': True}",
        "eval('1')",
        "exec(text)",
        "compile(text, 'x', 'exec')",
        "__import__(name)",
        "importlib.import_module(name)",
        "numpy.load('x.npy', allow_pickle=True)",
        "Run.load_from_checkpoint('x.ckpt')",
    ],
)
def test_a_danger_is_found_once(tmp_path: Path, text: str) -> None:
    assert len(_dangers(tmp_path, text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "model.eval()",
        "import torch\ntorch.load('x.pt', weights_only=True)",
        "Auto.from_pretrained('x', trust_remote_code=False)",
        "re.compile('a')",
        "importlib.import_module('torch')",
        "numpy.load('x.npy')",
    ],
)
def test_honest_code_passes(tmp_path: Path, text: str) -> None:
    assert _dangers(tmp_path, text) == []


def test_the_registry_may_import_what_it_maps(tmp_path: Path) -> None:
    assert _dangers(tmp_path, "importlib.import_module(name)", "datamodules/registry.py") == []
