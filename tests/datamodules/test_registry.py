"""Names become classes through the registry and installed entry points, and in no other way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datamodules import registry
from datamodules.errors import DatasetError, UnknownDatasetError
from tests.source_tree import REPOSITORY

Install = Callable[..., None]
PLUGIN = '''
from dataclasses import dataclass

class Faces:
    """Faces of another package."""

@dataclass
class FacesOptions:
    people: int = 3

NOT_A_CLASS = 1
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts an installed package with entry points on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def add(package: str, datasets: dict[str, str], options: dict[str, str] | None = None) -> None:
        (tmp_path / "other_faces.py").write_text(PLUGIN)
        info = tmp_path / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        groups = {registry.GROUP: datasets, registry.OPTIONS_GROUP: options or {}}
        lines = [
            f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items())
            for group, points in groups.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(lines))

    yield add
    sys.modules.pop("other_faces", None)


def test_the_built_in_names_are_listed_first() -> None:
    assert registry.names()[: len(registry.BUILT_IN)] == tuple(registry.BUILT_IN)
    assert registry.names()[:3] == ("synthetic_bp4d", "synthetic_disfa", "synthetic_feafa")


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_every_built_in_name_leads_to_a_class(name: str) -> None:
    found = registry.load(name)
    assert f"{found.__module__}:{found.__qualname__}" == registry.BUILT_IN[name].target
    options = registry.option_types()[name]
    assert options is not None
    assert f"{options.__module__}:{options.__qualname__}" == registry.BUILT_IN[name].options


def test_an_installed_package_adds_a_dataset(install: Install) -> None:
    install("other-faces", {"other": "other_faces:Faces"}, {"other": "other_faces:FacesOptions"})
    assert registry.names()[-1] == "other"
    assert "other_faces" not in sys.modules  # listing imports nothing
    assert registry.load("other").__doc__ == "Faces of another package."
    options = registry.option_types()
    assert len(options) == len(list(options)) == len(registry.BUILT_IN) + 1
    assert options["other"] is not None
    assert options["other"].__name__ == "FacesOptions"


def test_a_dataset_without_options_has_none(install: Install) -> None:
    install("other-faces", {"other": "other_faces:Faces"})
    install("third-faces", {}, {"other": "other_faces:FacesOptions"})  # not its dataset, so not its word
    assert registry.option_types()["other"] is None
    assert "nowhere" not in registry.option_types()


@pytest.mark.parametrize(
    "name",
    [
        "synthetic_bp4",
        "other_faces:Faces",
        "other_faces.Faces",
        "os:system",
        "datamodules.synthetic:SyntheticBP4D",
        "",
    ],
)
def test_only_registered_names_are_loaded(install: Install, name: str) -> None:
    install("other-faces", {"other": "other_faces:Faces"})
    with pytest.raises(UnknownDatasetError, match=r"unknown dataset '.*': did you mean '\w+'\?"):
        registry.load(name)
    assert "other_faces" not in sys.modules


@pytest.mark.parametrize("ask", [registry.names, registry.option_types, lambda: registry.load("folder")])
def test_a_name_that_is_taken_is_refused(install: Install, ask: Callable[[], object]) -> None:
    install("other-faces", {"folder": "other_faces:Faces"})
    with pytest.raises(
        DatasetError, match=r"'folder' is registered by both 'aullava' and 'other-faces': uninstall one"
    ):
        ask()


def test_two_packages_with_the_same_name_are_refused(install: Install) -> None:
    install("first-faces", {"other": "other_faces:Faces"})
    install("second-faces", {"other": "other_faces:Faces"})
    with pytest.raises(DatasetError, match="'other' is registered by both 'first-faces' and 'second-faces'"):
        registry.names()


@pytest.mark.parametrize("name", ["a.b", "a:b", "a b", "2d"])
def test_a_registered_name_must_be_a_plain_word(install: Install, name: str) -> None:
    install("other-faces", {name.replace(":", "."): "other_faces:Faces"})
    with pytest.raises(
        DatasetError, match=r"package 'other-faces' registers the dataset '.*', which is no plain word"
    ):
        registry.names()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere_to_be_found:Faces", "cannot be loaded from nowhere_to_be_found:Faces .No module named"),
        ("other_faces:Fces", "cannot be loaded from other_faces:Fces .*no attribute 'Fces'"),
        ("other_faces:NOT_A_CLASS", "is registered as other_faces:NOT_A_CLASS, which is no class"),
    ],
)
def test_a_broken_package_is_named(install: Install, target: str, reason: str) -> None:
    install("other-faces", {"other": target})
    assert "other" in registry.names()
    with pytest.raises(DatasetError, match=f"dataset 'other' of package 'other-faces' {reason}"):
        registry.load("other")


def test_the_registry_itself_loads_no_torch() -> None:
    code = "import sys; from datamodules import registry; registry.names(); dict(registry.option_types()); "
    code += "print([m for m in ('torch', 'lightning', 'transformers', 'cv2') if m in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, "[]", "")
