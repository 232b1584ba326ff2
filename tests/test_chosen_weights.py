"""The weights that a run reports are those of its best validation, and every verb takes these."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aullava.answer_records import answers_path, kept_answers
from aullava.cli import main
from aullava.config.load import resolve
from aullava.config.rules import WEIGHTS as CHOICES
from aullava.evaluation.calibration import FILE
from aullava.evaluation.choice import BEST as BY_MEAN
from aullava.evaluation.choice import LAST, is_better, to_choose_by, validation_score
from aullava.run_checks import refuse_unknown_choice
from aullava.training.checkpoint import BEST, WEIGHTS, chosen_validation, read_weights
from aullava.training.errors import RunError
from aullava.training.module import Asked
from aullava.vocabulary import vocabulary
from datamodules.action_units import Scale
from datamodules.synthetic import SyntheticBP4D
from tests.tiny_runs import DEMO, small

ONE = "synthetic_bp4d"
STEPS = 8
NAMED = f"val/{ONE}/accuracy_macro"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chosen")


def _fit(home: Path, name: str, seed: int, *more: str) -> Path:
    """A few wild steps, each followed by a validation."""
    words = [f"data={ONE}", *small(home, STEPS, [ONE]), f"experiment={name}", "trainer.val_every=1"]
    words += [f"seed={seed}", "optim.lr_lora=2e-2", "optim.lr_projector=2e-2", "evaluation.baselines=false"]
    assert main(["fit", DEMO, *words, *more]) == 0
    return home / "runs" / name / "1"


def _result(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "result.json").read_text())
    return found


def _history(run: Path) -> dict[int, float]:
    """Step -> what the validations are compared by, as TensorBoard has it."""
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return {one.step: one.value for one in events.Scalars("val/chosen_by")}


def _best(history: dict[int, float]) -> int:
    return max(history, key=lambda step: (history[step], step))


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    """The first wild fit whose best validation is in the middle."""
    fits = (_fit(home, f"wild{seed}", seed) for seed in range(10))
    return next(fit for fit in fits if 1 < _best(_history(fit)) < STEPS)


@pytest.fixture(scope="module")
def seed(run: Path) -> int:
    return resolve(run / "config.yaml", (), vocabulary()).config.seed


def test_the_best_validation_is_reported(run: Path) -> None:
    history, result = _history(run), _result(run)
    assert list(history) == list(range(1, STEPS + 1))
    best = _best(history)
    assert 1 < best < STEPS  # so that neither the first nor the last would do
    assert (result["weights_step"], result["weights_by"]) == (best, "best")
    assert result["weights_score"] == pytest.approx(history[best])
    assert result[f"val/{ONE}/f1_macro"] == result["weights_score"]


def test_every_verb_takes_these_weights(run: Path, tmp_path: Path) -> None:
    chosen, last = load_file(run / BEST), load_file(run / WEIGHTS)
    assert any(not chosen[name].equal(last[name]) for name in last)
    assert all(chosen[name].equal(tensor) for name, tensor in read_weights(run).items())
    copy = Path(shutil.copytree(run, tmp_path / "1"))
    before = [(copy / FILE).read_bytes(), answers_path(copy, "val", ONE).read_bytes(), _result(copy)]
    (copy / WEIGHTS).unlink()  # nobody needs them to ask the run
    assert main(["validate", str(copy)]) == 0
    assert [(copy / FILE).read_bytes(), answers_path(copy, "val", ONE).read_bytes(), _result(copy)] == before
    assert main(["test", str(copy)]) == 0
    assert main(["test", str(copy), "trainer.weights=last"]) == 2  # they were chosen
    assert main(["export", str(copy), "--to", str(tmp_path / "model")]) == 0


def test_a_fit_that_had_only_to_choose_is_resumed_to_the_same_choice(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "1"))
    for name in ("result.json", FILE):
        (copy / name).unlink()
    assert main(["resume", str(copy), f"runs_dir={tmp_path}"]) == 0
    mine, wanted = ({k: v for k, v in _result(one).items() if k != "seconds"} for one in (copy, run))
    assert mine == wanted
    assert (copy / FILE).read_bytes() == (run / FILE).read_bytes()


def test_a_validation_that_is_missing_is_made_up_for(run: Path, tmp_path: Path) -> None:
    """Steps after the last validation are looked at too, also when the fit was stopped before that."""
    copy = Path(shutil.copytree(run, tmp_path / "1"))
    for name in (BEST, "result.json"):  # as if no validation had been before
        (copy / name).unlink()
    assert main(["resume", str(copy)]) == 0
    assert _result(copy)["weights_step"] == STEPS
    assert _result(copy)["weights_score"] == pytest.approx(_history(run)[STEPS])
    mine, wanted = load_file(copy / BEST), load_file(run / WEIGHTS)
    assert all(mine[name].equal(tensor) for name, tensor in wanted.items())


def test_the_last_weights_on_demand(home: Path, run: Path, seed: int) -> None:
    other = _fit(home, "last", seed, "trainer.weights=last")
    assert not (other / BEST).exists()
    result = _result(other)
    assert (result["weights_step"], result["weights_by"]) == (STEPS, "last")
    assert result[f"val/{ONE}/f1_macro"] == pytest.approx(_history(run)[STEPS])
    assert (other / WEIGHTS).read_bytes() == (run / WEIGHTS).read_bytes()  # nothing else has changed


@pytest.fixture(scope="module")
def own(home: Path, seed: int) -> Path:
    """Chooses by a score that it names."""
    return _fit(home, "own", seed, f"trainer.weights={NAMED}")


def test_a_score_of_ones_own(own: Path) -> None:
    found = chosen_validation(own)
    assert found is not None
    assert found.by == _result(own)["weights_by"] == NAMED
    assert found.score == _result(own)[NAMED] == pytest.approx(max(_history(own).values()))


def _move_labels(monkeypatch: pytest.MonkeyPatch, people: set[str]) -> None:
    """Turn the labels of some people round."""
    plain = SyntheticBP4D._labels

    def moved(self: SyntheticBP4D, person: int, number: int) -> list[float]:
        labels = plain(self, person, number)
        return [1 - one for one in labels] if f"S{person + 1:03d}" in people else labels

    monkeypatch.setattr(SyntheticBP4D, "_labels", moved)


def test_moved_test_labels_choose_the_same_weights(
    run: Path, home: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _move_labels(monkeypatch, {"S006"})  # the other five train and validate
    other = _fit(home, "moved", seed)
    for name in (BEST, WEIGHTS, FILE):
        assert (other / name).read_bytes() == (run / name).read_bytes()
    mine, wanted = ({k: v for k, v in _result(one).items() if k != "seconds"} for one in (other, run))
    assert mine == wanted


def test_moved_labels_of_validation_people_choose_others(
    own: Path, home: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the test above can fail: what was right most often is right least often now."""
    _move_labels(monkeypatch, set(kept_answers(own, "val")[ONE].subjects))
    other = _fit(home, "others", seed, f"trainer.weights={NAMED}")
    assert (other / WEIGHTS).read_bytes() == (own / WEIGHTS).read_bytes()  # they are not learned from
    assert _result(other)["weights_step"] != _result(own)["weights_step"]
    assert (other / BEST).read_bytes() != (own / BEST).read_bytes()


# ---- what validations are compared by

SCALES = {"a": Scale.PRESENCE, "b.level": Scale.LEVEL, "c": Scale.INTENSITY}
SCORES = {
    "val/a/f1_macro": 0.4,
    "val/a/auroc_macro": 0.9,
    "val/b.level/f1_macro": 0.6,
    "val/c/icc_macro": 0.2,
}


def test_the_mean_takes_the_headline_of_every_dataset() -> None:
    assert validation_score(SCORES, BY_MEAN, SCALES) == pytest.approx(0.4)
    without = SCORES | {"val/c/icc_macro": float("nan")}  # no support
    assert validation_score(without, BY_MEAN, SCALES) == pytest.approx(0.5)
    nothing = validation_score({}, BY_MEAN, SCALES)
    assert nothing != nothing
    assert not is_better(nothing, None, BY_MEAN)
    assert validation_score(SCORES, "val/a/auroc_macro", SCALES) == 0.9


@pytest.mark.parametrize(
    ("by", "better"),
    [("best", 0.6), ("val/a/f1/AU12", 0.6), ("val/c/mae_macro", 0.4), ("val/c/rmse/AU4", 0.4)],
)
def test_errors_are_better_small(by: str, better: float) -> None:
    assert is_better(better, 0.5, by)
    assert is_better(better, None, by)
    assert not is_better(1 - better, 0.5, by)
    assert is_better(0.5, 0.5, by)  # of equal ones the later


def test_counts_are_nothing_to_choose_by() -> None:
    names = ["val/a/support/AU1", "val/a/positives/AU1", "val/a/answer_diversity", "val/a/f1/AU1"]
    assert to_choose_by(names) == ["val/a/f1/AU1"]


def test_the_config_knows_the_same_words() -> None:
    assert CHOICES == (BY_MEAN, LAST)


def test_a_score_that_there_is_not_is_refused_before_a_folder_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", DEMO, f"data={ONE}", *small(tmp_path, 1, [ONE]), "trainer.val_every=1"]
    assert main([*words, f"trainer.weights=val/{ONE}/f1_marco"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == (
        f"aullava: trainer.weights is 'val/{ONE}/f1_marco', but no weights are chosen by that: did you mean "
        f"'val/{ONE}/f1_macro'?"
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("by", ["val/a/support/AU1", "val/b/f1_macro", "val/a/icc_macro", "val/a/f1/AU4"])
def test_scores_of_other_datasets_scales_and_units_are_refused(by: str) -> None:
    asked = [Asked("a", ("AU1", "AU2"), Scale.PRESENCE)]
    refuse_unknown_choice("val/a/f1/AU1", asked)
    with pytest.raises(RunError, match=f"trainer.weights is '{by}'"):
        refuse_unknown_choice(by, asked)
