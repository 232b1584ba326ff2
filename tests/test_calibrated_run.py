"""A run is calibrated on its inner validation people: what is tested later changes nothing about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from aullava.answer_records import answers_path, kept_answers
from aullava.cli import main
from aullava.evaluation.answer_table import AnswerTable
from aullava.evaluation.calibration import FILE, as_text, fit_calibration, read_calibration
from aullava.evaluation.scores import ScoreBook
from datamodules.action_units import BP4D_AUS
from datamodules.synthetic import SyntheticBP4D
from tests.tiny_runs import DEMO, POPULATION, small

ONE = "synthetic_bp4d"
WEIGHTS = Path("checkpoints") / "last.safetensors"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calibrated")


def _fit(home: Path, name: str) -> Path:
    words = [f"data={ONE}", *small(home, 3, [ONE]), f"experiment={name}", "trainer.val_every=2"]
    assert main(["fit", DEMO, *words, "evaluation.baselines=false"]) == 0
    return home / "runs" / name / "1"


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    """Three steps, the last validation after two of them; then tested."""
    run = _fit(home, "first")
    assert main(["test", str(run)]) == 0
    return run


def test_a_fit_keeps_what_was_answered_and_its_calibration(run: Path) -> None:
    table = kept_answers(run, "val")[ONE]
    assert len(table) == POPULATION["faces_per_person"]  # one of the five people validates
    assert (table.aus, table.fold, table.people()) == (BP4D_AUS, 1, 1)
    assert as_text({ONE: fit_calibration(table)}) == (run / FILE).read_text()
    assert set(read_calibration(run)[ONE]) == set(BP4D_AUS)


def test_the_answers_are_those_of_the_reported_weights(run: Path, tmp_path: Path) -> None:
    """The fit validated after steps 2 and 3, and kept the answers of the better weights."""
    before = answers_path(run, "val", ONE).read_bytes()
    calibration = (run / FILE).read_bytes()
    assert main(["validate", str(run)]) == 0
    assert answers_path(run, "val", ONE).read_bytes() == before
    assert (run / FILE).read_bytes() == calibration


def test_moved_test_labels_choose_nothing(run: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = SyntheticBP4D._labels

    def moved(self: SyntheticBP4D, person: int, number: int) -> list[float]:
        labels = plain(self, person, number)
        return [1 - one for one in labels] if person >= self.options.train_people else labels

    monkeypatch.setattr(SyntheticBP4D, "_labels", moved)
    other = _fit(home, "moved")
    assert main(["test", str(other)]) == 0
    for name in (WEIGHTS, FILE):
        assert (other / name).read_bytes() == (run / name).read_bytes()
    labels = [kept_answers(one, "test")[ONE].labels for one in (run, other)]
    assert (labels[0] == 1 - labels[1]).all()  # they were moved


def test_raw_and_thresholded_scores_stand_beside_each_other(run: Path) -> None:
    result: dict[str, Any] = json.loads((run / "result.json").read_text())
    table = AnswerTable.read(answers_path(run, "test", ONE))
    book = ScoreBook(table.aus, table.terms.scale)
    answers, labels, said = (
        torch.from_numpy(one) for one in (table.answers, table.labels, table.probabilities)
    )
    book.update(answers, labels, probabilities=said, ids=table.sample_ids)
    raw = book.compute()
    for name in ("f1_macro", "auroc_macro", "invalid_rate"):
        assert result[f"test/{ONE}/{name}"] == (raw[name] if raw[name] == raw[name] else None)
    for name in ("thresholded_f1", "sure_f1", "ece", "ece_raw", "unsure"):
        assert f"test/{ONE}/{name}_macro" in result
        assert f"test/{ONE}/{name}/AU12" in result
    assert not any(key.startswith("val/") and "thresholded" in key for key in result)  # chosen there
