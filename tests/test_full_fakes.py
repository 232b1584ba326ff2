"""BP4D, DISFA and FEAFA in full, 41, 27 and 127 subjects or sequences: prepared, checked, trained, tested."""

from __future__ import annotations

import importlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from aullava.cli import main
from datamodules.store import FaceStore
from tests.fakes import quick
from tests.source_tree import REPOSITORY

EXPERIMENTS = REPOSITORY / "experiments"
SUBJECTS = {"bp4d": 41, "disfa": 27, "feafa": 127}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("full")


@cache
def raw(name: str, home: Path) -> Path:
    """The root of a full fake, written once."""
    importlib.import_module(f"tests.data.{name}.data").write_full(home / name)
    return home / name


@cache
def prepared(name: str, home: Path) -> Path:
    """Its store, made by the command line."""
    store = home / f"{name}_store"
    words = ["--root", str(raw(name, home)), "--out", str(store), "--size", "96"]
    assert main(["prepare", name, *words]) == 0
    return store


def _trained(name: str, words: list[str], home: Path) -> tuple[dict[str, float], dict[str, Any]]:
    """Scores and fingerprint after a fit and a test of a shipped experiment."""
    assert main(["fit", str(EXPERIMENTS / f"{name}.yaml"), *words, *quick(home)]) == 0
    run = max((home / "runs" / name).iterdir(), key=lambda folder: int(folder.name))
    assert main(["test", str(run)]) == 0
    scores: dict[str, float] = json.loads((run / "result.json").read_text())
    return scores, json.loads((run / "fingerprint.json").read_text())


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_store_holds_every_subject_and_a_second_run_does_nothing(
    name: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = FaceStore.open(prepared(name, home))
    held = {one.split("/")[0] for one in store.ids()} | {one.split("/")[0] for one in store.missing()}
    assert len(held) == SUBJECTS[name]
    assert len(store.ids()) > 0.9 * (len(store.ids()) + len(store.missing()))
    before = {path: path.stat().st_mtime_ns for path in (home / f"{name}_store").rglob("*")}
    words = ["--root", str(raw(name, home)), "--out", str(home / f"{name}_store"), "--size", "96"]
    assert main(["prepare", name, *words]) == 0
    assert {path: path.stat().st_mtime_ns for path in (home / f"{name}_store").rglob("*")} == before
    capsys.readouterr()


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_check_writes_its_page(name: str, home: Path) -> None:
    """The fakes have a few frames of thousands: counts differ, which is a warning and no error."""
    page = home / f"{name}_report"
    assert main(["datasets", "check", name, "--root", str(raw(name, home)), "--out", str(page)]) == 0
    html = next(page.rglob("*.html")).read_text()
    assert name in html.lower()
    assert str(SUBJECTS[name]) in html


@pytest.mark.parametrize("source", ["raw", "prepared"])
@pytest.mark.parametrize("name", SUBJECTS)
def test_the_shipped_experiment_runs(name: str, source: str, home: Path) -> None:
    section = f"data.datasets.{name}"
    words = [f"{section}.root={raw(name, home)}", "model=tiny"]
    if source == "prepared":
        words.append(f"{section}.prepared={prepared(name, home)}")
    scores, prints = _trained(name, words, home)
    assert any(key.startswith(f"test/{name}/") for key in scores)
    cut = prints["crops"][name]["faces"]  # how, in a run as in the store
    assert (cut["align"], cut["size"]) == ("box", 96 if source == "prepared" else 224)


def test_one_model_trains_on_all_three(home: Path) -> None:
    words = ["model=tiny"]
    for name in SUBJECTS:
        section = f"data.datasets.{name}"
        words += [f"{section}.root={raw(name, home)}", f"{section}.prepared={prepared(name, home)}"]
    scores, _ = _trained("unified", words, home)
    tested = {key.split("/")[1] for key in scores if key.startswith("test/")}
    assert tested == {"bp4d", "disfa", "disfa.presence", "feafa"}
