"""The table of docs/datasets.md says what the classes say, that of the quirks names tests that there are."""

from __future__ import annotations

import inspect
import re

import pytest

from datamodules import registry
from datamodules.base import AUDataModule
from tests.source_tree import REPOSITORY

TABLE = {
    cells[0].strip("`"): cells
    for line in (REPOSITORY / "docs" / "datasets.md").read_text(encoding="utf-8").splitlines()
    if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 6
}


def test_every_dataset_has_a_row() -> None:
    assert set(registry.BUILT_IN) == set(TABLE) - {"name", "---"}


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_a_row_says_what_the_class_says(name: str) -> None:
    dataset: type[AUDataModule] = registry.load(name)
    _, _, aus, scale, protocols, threshold = TABLE[name]
    if dataset.aus:
        assert int(aus.split()[0]) == len(dataset.aus)
    if dataset.scale is not None:
        assert scale.startswith(
            {"presence": "presence", "level": "levels", "intensity": "intens"}[dataset.scale]
        )
    named = [word.strip(" `") for word in protocols.split(",")]
    assert named[0] == dataset.protocols[0]
    assert set(named) <= set(dataset.protocols)
    if dataset.threshold is not None:
        assert float(threshold.split()[0]) == dataset.threshold


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_a_class_says_all_that_a_user_must_know(name: str) -> None:
    """`aullava datasets NAME` shows it."""
    told = " ".join((inspect.getdoc(registry.load(name)) or "").split())
    for word in ("Source", "Licence", "Layout", "AUs and scale", "Missing code", "Known traps"):
        assert f"**{word}**" in told, word
    assert "ask" in told


def test_every_quirk_names_tests_that_there_are() -> None:
    """A test that was renamed would leave its quirk without one, and nobody would see it."""
    tests, rows = REPOSITORY / "tests" / "datamodules", 0
    for line in (REPOSITORY / "tests/data/README.md").read_text(encoding="utf-8").splitlines():
        named = re.findall(r"`(\w+\.py)?::(\w+)`", line)
        rows += bool(named)
        file = ""
        for one, test in named:
            file = one or file
            assert f"\ndef {test}(" in (tests / file).read_text(encoding="utf-8"), line
    assert rows > 100
