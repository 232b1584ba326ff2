"""The printed config: aligned, honest about its origins, and readable by `resolve`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aullava.config.load import resolve
from aullava.config.schema import Vocabulary
from aullava.config.show import render, save

Files = Callable[[dict[str, str]], Path]


def test_every_value_stands_beside_its_origin(run_file: Path, words: Vocabulary) -> None:
    lines = render(resolve(run_file, ["trainer.val_every=3"], words)).splitlines()
    assert lines[0].split("  # ") == ["experiment: run".ljust(lines[0].index("  #")), "run.yaml:1"]
    told = {line.split("  # ")[0].strip(): line.split("  # ")[1] for line in lines if "#" in line}
    assert told["max_steps: 5"] == "run.yaml:6"
    assert told["val_every: 3"] == "command line"
    assert told["lr_lora: 0.0001"] == "run.yaml:7"
    assert told["max_length: null"] == "schema default"
    assert told["people: 60"] == "FacesOptions default"
    columns = [line.index("  # ") for line in lines if "  # " in line and "targets:" not in line]
    assert len(set(columns)) == 1


TRICKY = (
    "null",
    "1e-3",
    "true",
    "a # b",
    "a: b",
    "[x",
    "{",
    "a, b",
    " edge ",
    "",
    "tab\there",
    "é ü",
    "'q'",
    '"',
    "010",
)


@pytest.mark.parametrize(
    "value", [*TRICKY, "two\nlines", "${seed}", "-", "2024-01-01", "~", "!!x", "&a", "*a", "%", "@"]
)
def test_any_text_survives_the_round_trip(files: Files, run_file: Path, value: str) -> None:
    before = resolve(run_file)
    before.config.runs_dir = value
    before.config.adapter.targets = ["a", value]
    before.config.data.datasets["drawn_faces"].options = {"x": value, "y": {"z": [value, {"k": value}]}}
    places = dict.fromkeys(
        ("data.datasets.drawn_faces.options.x", "data.datasets.drawn_faces.options.y.z"), "test"
    )
    before = replace(before, provenance=before.provenance | places)
    assert resolve(save(before, "saved.yaml")).config == before.config


def test_a_saved_config_resolves_to_the_same_run(run_file: Path, words: Vocabulary) -> None:
    overrides = [
        "seed=7",
        "optim.lr_lora=3e-7",
        "data.datasets.drawn_faces.options.size=0.1",
        "trainer.val_every=2",
    ]
    before = resolve(run_file, overrides, words)
    path = save(before, "runs.yaml")
    after = resolve(path, (), words)
    assert after.config == before.config
    assert set(after.provenance) == set(before.provenance)
    assert {place.partition(":")[0] for place in after.provenance.values()} == {"runs.yaml"}


def test_save_leaves_no_half_file(run_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    resolved = resolve(run_file)
    save(resolved, "config.yaml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "run.yaml"]
    before = Path("config.yaml").read_text(encoding="utf-8")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        save(resolve(run_file, ["seed=9"]), "config.yaml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "run.yaml"]
    assert Path("config.yaml").read_text(encoding="utf-8") == before
