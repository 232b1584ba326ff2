"""A small world of experiment files in a temporary folder, with two datasets and a few Action Units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest
from omegaconf import MISSING

from aullava.config.schema import Vocabulary

Files = Callable[[dict[str, str]], Path]


class Coding(StrEnum):
    SINGLE = "single"
    DOUBLE = "double"


@dataclass(frozen=True)
class FacesOptions:
    people: int = 60
    size: float = 96.0
    coding: Coding = Coding.SINGLE
    sides: tuple[str, ...] = ("left", "right")
    home: Path = Path("faces")

    def __post_init__(self) -> None:
        if self.people < 2:
            raise ValueError(f"people must be at least 2, not {self.people}")


@dataclass
class TableOptions:
    table: str = MISSING


@pytest.fixture
def words() -> Vocabulary:
    datasets = {"drawn_faces": FacesOptions, "table_faces": TableOptions, "plain_faces": None}
    return Vocabulary(datasets, ("AU1", "AU2", "AU12", "AU12L", "AD34"))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """Writes files, by name without `.yaml`, into the current folder; gives the path of the last one."""
    monkeypatch.chdir(tmp_path)

    def write(texts: dict[str, str]) -> Path:
        path = Path()
        for name, text in texts.items():
            path = Path(f"{name}.yaml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def run_file(files: Files) -> Path:
    """A whole experiment of seven lines."""
    return files(
        {
            "run": "experiment: run\n"
            "data:\n"
            "  datasets:\n"
            "    drawn_faces:\n"
            "trainer:\n"
            "  max_steps: 5\n"
            "optim: {lr_lora: 1e-4}\n"
        }
    )
