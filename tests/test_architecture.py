"""Keeps rules 1-4 of docs/architecture.md: who may import whom, no circles, no torch where none belongs.

The checks read the source, so they hold for every file the moment it is written. Each one is also run on a
small tree that breaks its rule, so that a check that has gone blind fails too.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dangers import dangers
from tests.source_tree import REPOSITORY, Module, ancestors, below, imported_at_import, load_tree

TREE = load_tree()

# room -> what of ours it may import besides itself. This table is the whole truth.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "datamodules": (),
    "aullava.config": (),
    "aullava.text": ("datamodules.action_units",),
    "aullava.models": (),
    "aullava.decoding": ("aullava.text", "aullava.models"),
    "aullava.evaluation": (
        "aullava.text",
        "datamodules.action_units",
        "datamodules.sample",
        "datamodules.protocols",
    ),
    "aullava.training": (
        "aullava.config",
        "aullava.text",
        "aullava.models",
        "aullava.decoding",
        "aullava.evaluation",
        "datamodules.action_units",
        "datamodules.sample",
        "datamodules.errors",
        "datamodules.cores",
        "datamodules.whole_file",
    ),
    "aullava.export": ("aullava.models", "aullava.text"),
}
# Where all parts meet, besides the files that stand directly in aullava/; nothing above may import these.
MEETING_PACKAGES = ("aullava.tiny_backbone", "aullava.inference")

NO_LIGHTNING = ("aullava.config", "aullava.text", "aullava.models")
HUGGING_FACE_ROOMS = ("aullava.models", "aullava.export", "aullava.tiny_backbone")
TORCH_FREE = (
    "aullava.config",
    "aullava.cli",
    "aullava.vocabulary",
    "datamodules.registry",
    "datamodules.action_units",
    "datamodules.errors",
    "datamodules.faces",
    "datamodules.options",
    "datamodules.protocols",
    "datamodules.overlaps",
    "datamodules.balance",
    "datamodules.findings",
    "datamodules.labels",
    "datamodules.index_cache",
    "datamodules.expected_counts",
    "datamodules.check_counts",
)
HEAVY = (
    "torch",
    "lightning",
    "transformers",
    "peft",
    "torchmetrics",
    "albumentations",
    "cv2",
    "scipy",
    "sklearn",
)


def _room(name: str, modules: dict[str, Module]) -> str | None:
    """The row of the table a module stands in, None for a meeting point.

    Raises:
        LookupError: the module stands in a room that the table does not know.
    """
    if below(name, "datamodules"):
        return "datamodules"
    room = ".".join(name.split(".")[:2])
    if room in MAY_IMPORT:
        return room
    beside_build = room in modules and not modules[room].is_package
    if room in MEETING_PACKAGES or room == "aullava" or beside_build:
        return None
    raise LookupError(f"{name} stands in no room of MAY_IMPORT")


def _is_ours(name: str) -> bool:
    return below(name, "aullava") or below(name, "datamodules")


def _forbidden_imports(modules: dict[str, Module]) -> list[str]:
    found = []
    for module in modules.values():
        room = _room(module.name, modules)
        if room is None:
            continue
        for item in module.imports:
            allowed = (room, *MAY_IMPORT[room])
            if _is_ours(item.target) and not any(below(item.target, prefix) for prefix in allowed):
                found.append(f"{module.where(item.line)} {room} may not import {item.target}")
    return found


def _own_init_imports(modules: dict[str, Module]) -> list[str]:
    return [
        f"{module.where(item.line)} imports its own package {item.target}: import the sibling module"
        for module in modules.values()
        for item in module.imports
        if item.target in ancestors(module.name) or (module.is_package and below(item.target, module.name))
    ]


def _circles(modules: dict[str, Module]) -> list[str]:
    """Circles over all imports that can run, those inside functions included."""
    edges = {
        name: sorted(
            {item.target for item in module.imports if item.target in modules and not item.typing_only}
        )
        for name, module in modules.items()
    }
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if name in path:
            yield " -> ".join((*path[path.index(name) :], name))
        elif name not in done:
            for target in edges[name]:
                yield from walk(target, (*path, name))
            done.add(name)

    return [circle for name in edges for circle in walk(name, ())]


def _heavy_closure(modules: dict[str, Module]) -> list[str]:
    light = [name for name in modules if any(below(name, prefix) for prefix in TORCH_FREE)]
    return [
        f"importing {name} runs {reached} ({source})"
        for name in light
        for reached, source in imported_at_import(name, modules).items()
        if any(below(reached, heavy) for heavy in HEAVY)
    ]


def _framework_leaks(modules: dict[str, Module]) -> list[str]:
    found = []
    for module in modules.values():
        no_lightning = any(below(module.name, room) for room in NO_LIGHTNING)
        hugging_face = any(below(module.name, room) for room in HUGGING_FACE_ROOMS)
        for item in module.imports:
            top = item.target.split(".")[0]
            if no_lightning and top in ("lightning", "pytorch_lightning"):
                found.append(f"{module.where(item.line)} imports Lightning")
            if not hugging_face and not item.typing_only and top in ("transformers", "peft", "tokenizers"):
                found.append(
                    f"{module.where(item.line)} touches {top} outside {', '.join(HUGGING_FACE_ROOMS)}"
                )
    return found


def test_each_room_imports_only_what_the_table_allows() -> None:
    assert _forbidden_imports(TREE) == []


def test_no_module_imports_its_own_package() -> None:
    assert _own_init_imports(TREE) == []


def test_there_is_no_import_circle() -> None:
    assert _circles(TREE) == []


def test_lightning_and_hugging_face_stay_in_their_rooms() -> None:
    assert _framework_leaks(TREE) == []


def test_no_door_is_left_open() -> None:
    assert [line for module in TREE.values() for line in dangers(module)] == []


def test_light_modules_import_nothing_heavy() -> None:
    assert _heavy_closure(TREE) == []


def test_light_modules_load_nothing_heavy_when_python_imports_them() -> None:
    """The same rule with a real interpreter: it also sees what the libraries we use pull in themselves."""
    light = sorted(name for name in TREE if any(below(name, prefix) for prefix in TORCH_FREE))
    code = f"import importlib, sys\nfor n in {light}: importlib.import_module(n)\n"
    code += f"print(sorted(set({HEAVY}) & set(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, "[]", "")


def _write(root: Path, files: dict[str, str]) -> dict[str, Module]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load_tree(root)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("datamodules/bp4d.py", "from aullava.text import grammar"),
        ("aullava/text/collate.py", "def f() -> None:\n    import aullava.models.vlm"),
        ("aullava/models/vlm.py", "from datamodules.sample import AUSample"),
        ("aullava/config/load.py", "from datamodules import registry"),
        (
            "aullava/training/module.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from aullava import cli",
        ),
        ("aullava/training/module.py", "import datamodules.registry"),
        ("aullava/text/parse.py", "from ..models import vlm"),
        (
            "aullava/decoding/generate.py",
            "try:\n    import x\nexcept ImportError:\n    import aullava.training.module",
        ),
    ],
)
def test_an_arrow_against_the_direction_is_found(tmp_path: Path, name: str, text: str) -> None:
    modules = _write(
        tmp_path, {name: text, "aullava/text/grammar.py": "", "aullava/models/vlm.py": ""} | {name: text}
    )
    assert len(_forbidden_imports(modules)) == 1


def test_a_room_without_a_row_is_refused(tmp_path: Path) -> None:
    modules = _write(tmp_path, {"aullava/helpers/__init__.py": "", "aullava/helpers/misc.py": ""})
    with pytest.raises(LookupError, match=r"aullava\.helpers"):
        _forbidden_imports(modules)


def test_own_package_and_circles_are_found(tmp_path: Path) -> None:
    files = {
        "aullava/text/__init__.py": '"""Text."""',
        "aullava/text/a.py": "from aullava.text import b, THING",
        "aullava/text/b.py": "def f() -> None:\n    from .c import g",
        "aullava/text/c.py": "from aullava.text.a import h",
    }
    modules = _write(tmp_path, files)
    assert [line.split()[0] for line in _own_init_imports(modules)] == ["aullava/text/a.py:1"]
    assert _circles(modules) == ["aullava.text.a -> aullava.text.b -> aullava.text.c -> aullava.text.a"]


def test_a_heavy_import_is_found_through_three_files(tmp_path: Path) -> None:
    files = {
        "aullava/config/load.py": "from aullava.config.schema import Config",
        "aullava/config/schema.py": "import numpy",
        "datamodules/__init__.py": "from datamodules import sample",
        "datamodules/sample.py": "import torch.nn",
        "datamodules/registry.py": "def f() -> None:\n    import lightning",
    }
    found = _heavy_closure(_write(tmp_path, files))
    assert sorted(found) == [
        "importing datamodules.registry runs torch (datamodules/sample.py:1)",
        "importing datamodules.registry runs torch.nn (datamodules/sample.py:1)",
    ]


def test_frameworks_outside_their_rooms_are_found(tmp_path: Path) -> None:
    files = {
        "aullava/text/collate.py": "import lightning.pytorch",
        "aullava/training/module.py": "import lightning\nfrom transformers import AutoModel",
        "aullava/models/llm.py": "from transformers import AutoModelForCausalLM",
    }
    assert [line.split()[0] for line in _framework_leaks(_write(tmp_path, files))] == [
        "aullava/text/collate.py:1",
        "aullava/training/module.py:2",
    ]
