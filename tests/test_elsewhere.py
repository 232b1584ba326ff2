"""A run on a dataset it never saw, on shuffled pictures, and for groups of people, on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from aullava.answer_records import kept_answers
from aullava.cli import main
from aullava.config.schema import Config
from aullava.jobs import score
from aullava.training.module import AULightningModule
from datamodules.action_units import BP4D_AUS, DISFA_AUS
from datamodules.mixture import Mixture
from tests.tiny_runs import DEMO, POPULATION, contents, small

SHARED = [code for code in DISFA_AUS if code in BP4D_AUS]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    """Learned presence on one dataset, and was tested there."""
    words = ["data=synthetic_bp4d", *small(home, 2, ["synthetic_bp4d"]), "evaluation.baselines=false"]
    assert main(["fit", DEMO, *words]) == 0
    assert main(["test", str(home / "runs" / "demo" / "1")]) == 0
    return home / "runs" / "demo" / "1"


def _other(home: Path, name: str, **changed: int) -> list[str]:
    section, options = f"data.datasets.{name}", POPULATION | changed
    words = [f"data={name}", f"{section}.root={home / 'faces'}"]
    return [*words, *(f"{section}.options.{key}={value}" for key, value in options.items())]


def _result(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "result.json").read_text())
    return found


def test_another_dataset_is_asked_about_what_both_know(
    run: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {key: value for key, value in _result(run).items() if not key.startswith("cross/")}
    capsys.readouterr()
    assert main(["test", str(run), *_other(home, "synthetic_disfa")]) == 0
    printed = capsys.readouterr().out
    assert (
        "synthetic_disfa.presence: presence, 3 faces of 1 people; the run was trained on synthetic_bp4d"
        in printed
    )
    table = kept_answers(run, "cross")["synthetic_disfa.presence"]
    assert list(table.aus) == SHARED
    assert set(table.subjects) == {"S006"}  # the other five were learned from: the same drawn people
    assert set(table.labels.flatten()) <= {0, 1}
    result = _result(run)
    assert {key: result[key] for key in own} == own
    scores = {key.split("/")[2] for key in result if key.startswith("cross/synthetic_disfa.presence/")}
    assert {"f1_macro", "thresholded_f1_macro", "always_present_f1_macro", "support"} <= scores


def test_blind_stands_beside_the_test_and_moves_no_label(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many faces show a unit stays, none shows itself, and answers to shuffled pictures are not kept."""
    asked: list[Mixture] = []

    def watched(config: Config, run: Path, data: Mixture, split: Literal["val", "test"]) -> AULightningModule:
        asked.append(data)
        return score(config, run, data, split)

    monkeypatch.setattr("aullava.blind.score", watched)
    own = {key: value for key, value in _result(run).items() if not key.startswith("blind/")}
    kept = contents(run / "answers")
    capsys.readouterr()
    assert main(["test", str(run), "--blind"]) == 0
    printed = capsys.readouterr().out
    (dataset,) = asked[0].datasets
    assert sorted(dataset.dealt) == sorted(dataset.rows("test")) == sorted(dataset.dealt.values())
    assert all(row != other for row, other in dataset.dealt.items())
    assert all(title in printed for title in ("own pictures", "shuffled", "F1 x 100"))
    result = _result(run)
    assert {key: result[key] for key in own} == own
    assert contents(run / "answers") == kept
    for code in BP4D_AUS:
        assert (
            result[f"blind/synthetic_bp4d/positives/{code}"]
            == result[f"test/synthetic_bp4d/positives/{code}"]
        )


def test_blind_is_for_its_own_people(run: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = _refused(["test", str(run), "--blind", *_other(home, "synthetic_disfa")], run, capsys)
    assert "--blind asks about the run's own test people" in said


def test_everybody_is_tested_who_is_new(run: Path, home: Path) -> None:
    """Another population: all of its people, those of its training part too."""
    words = _other(home, "synthetic_disfa", population=3)
    assert main(["test", str(run), *words]) == 0
    table = kept_answers(run, "cross")["synthetic_disfa.presence"]
    assert table.people() == POPULATION["train_people"] + POPULATION["test_people"]
    assert table.terms.protocol == "unseen_people v1"


def _refused(words: Sequence[str], kept: Path, capsys: pytest.CaptureFixture[str]) -> str:
    before = contents(kept)
    capsys.readouterr()
    assert main(words) == 2
    assert contents(kept) == before
    return capsys.readouterr().err.splitlines()[-1]


def test_nothing_in_common_is_refused(run: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*_other(home, "synthetic_disfa"), "data.datasets.synthetic_disfa.aus=[AU25, AU26]"]
    said = _refused(["test", str(run), *words], run, capsys)
    assert "answers about no Action Unit of 'synthetic_disfa' (AU25, AU26) as presence" in said
    said = _refused(["test", str(run), "data=nothing"], run, capsys)
    assert "there is no fragment 'data/nothing'" in said


def test_groups_of_people(run: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people = home / "people.csv"
    people.write_text("subject,sex\nS006,F\nS001,M\n")
    capsys.readouterr()
    assert main(["subgroups", str(run), "--by", "sex", "--people", str(people), "--draws", "20"]) == 0
    printed = capsys.readouterr().out
    assert "synthetic_bp4d: presence, by sex, 3 faces" in printed
    assert "F: 3 faces of 1 people, F1 x 100" in printed
    groups = json.loads((run / "subgroups.json").read_text())["synthetic_bp4d"]["sex"]
    assert groups["F"]["scores"]["faces"] == 3


def test_groups_that_are_not_there(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = _refused(["subgroups", str(run), "--by", "sex"], run, capsys)
    assert "synthetic_bp4d has no column 'sex' (there is: none)" in said
    said = _refused(["subgroups", str(run), "--by", "sex", "--people", str(tmp_path / "no.csv")], run, capsys)
    assert "no.csv cannot be read" in said
