"""fit, validate and test, one after the other, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Never

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aullava.build import build_model
from aullava.cli import main
from aullava.config.load import resolve
from aullava.vocabulary import vocabulary
from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS
from datamodules.drawn_faces.scene import draw_face
from tests.source_tree import REPOSITORY
from tests.tiny_runs import DATASETS, DEMO, POPULATION, TEST_FACES, contents, small

STEPS = 3
WEIGHTS = "checkpoints/last.safetensors"


def _result(run: Path) -> dict[str, Any]:
    def refuse(word: str) -> Never:
        raise ValueError(f"{word} is no JSON")

    found: dict[str, Any] = json.loads((run / "result.json").read_text(), parse_constant=refuse)
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    """The first run: trained on the three datasets, and nothing else."""
    assert main(["fit", DEMO, *small(home, STEPS)]) == 0
    return home / "runs" / "demo" / "1"


@pytest.fixture(scope="module")
def scored(run: Path) -> dict[str, Any]:
    """The result of the first run, validated and tested."""
    assert main(["validate", str(run)]) == 0
    assert main(["test", str(run)]) == 0
    return _result(run)


@pytest.fixture(scope="module")
def picture(home: Path) -> Path:
    path = home / "müller 1.png"
    Image.fromarray(draw_face(0, 9, 1, 96)[0]).save(path)
    return path


# ---- fit


def test_a_fit_fills_its_folder(run: Path, home: Path) -> None:
    files = {name for name in contents(run) if not name.startswith("tensorboard/")}
    records = {f"{name}.json" for name in ("versions", "fingerprint", "findings", "result")}
    records |= {"config.yaml", "overrides.txt"}
    snapshots = {name for name in files if name.startswith(f"checkpoints/step-{STEPS:08d}-")}
    assert len(snapshots) == 1
    answers = {f"answers/val/{name}.parquet" for name in DATASETS}
    assert files == records | snapshots | answers | {WEIGHTS, "calibration.json"}
    assert (run / "overrides.txt").read_text().splitlines() == small(home, STEPS)
    assert json.loads((run / "versions.json").read_text())["torch"] == torch.__version__
    prints = json.loads((run / "fingerprint.json").read_text())
    assert set(prints) == {"data", "seed", "crops", *DATASETS}
    assert prints["crops"] == {name: {} for name in DATASETS}  # drawn faces are seen as they are drawn
    assert len({prints[name] for name in DATASETS}) == 3


def test_a_fit_saves_what_the_model_of_its_config_trains(run: Path) -> None:
    model = build_model(resolve(run / "config.yaml", (), vocabulary()).config)
    saved = load_file(run / WEIGHTS)
    assert {name: tensor.shape for name, tensor in saved.items()} == {
        name: tensor.shape for name, tensor in model.trainable_state_dict().items()
    }
    lora_b = [tensor for name, tensor in saved.items() if "lora_B" in name]
    assert all(tensor.abs().max() > 0 for tensor in lora_b)  # they begin as zero: all have learnt


def test_a_fit_is_seen_in_tensorboard(run: Path) -> None:
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    assert len(events.Scalars("train/loss")) == STEPS
    assert {"lr-AdamW/projector", "lr-AdamW/lora", "val/synthetic_feafa/mae_macro"} <= set(tags["scalars"])
    assert {f"faces/{name}" for name in DATASETS} <= set(tags["images"])
    assert {f"answers/{name}/text_summary" for name in DATASETS} <= set(tags["tensors"])


def test_a_fit_ends_with_a_validation(run: Path) -> None:
    result = _result(run)
    assert result["val/synthetic_bp4d/support/AU12"] == 2  # one of the five people, two faces
    assert result["seconds"] > 0


def test_the_saved_config_runs_the_job_again(run: Path, home: Path) -> None:
    saved = resolve(run / "config.yaml", (), vocabulary()).config
    assert saved == resolve(DEMO, small(home, STEPS), vocabulary()).config
    before = contents(run)
    assert main(["fit", str(run / "config.yaml")]) == 0
    assert contents(run) == before
    again = run.parent / "2"
    assert (again / "config.yaml").is_file()
    first, second = load_file(run / WEIGHTS), load_file(again / WEIGHTS)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []  # the same seed


@pytest.mark.parametrize(
    ("experiment", "name"), [("synthetic.yaml", "synthetic_disfa"), ("demo.yaml", "synthetic_feafa")]
)
def test_shipped_experiments_run_with_each_fragment(experiment: str, name: str, home: Path) -> None:
    words = [f"data={name}", *small(home, 1, [name]), "trainer.val_samples=1", "evaluation.baselines=false"]
    assert main(["fit", str(REPOSITORY / "experiments" / experiment), *words, f"experiment={name}"]) == 0
    result = _result(home / "runs" / name / "1")
    assert {key.split("/")[1] for key in result if "/" in key} == {name}
    assert {result[key] for key in result if "/support/" in key} == {1}


# ---- validate, test


def test_scores_have_flat_names(scored: dict[str, Any]) -> None:
    wanted = {f"test/synthetic_bp4d/f1/{code}" for code in BP4D_AUS}
    wanted |= {f"test/synthetic_disfa/{name}/{code}" for name in ("f1", "mae", "pcc") for code in DISFA_AUS}
    wanted |= {f"test/synthetic_feafa/{name}/{code}" for name in ("mae", "pcc") for code in FEAFA_AUS}
    wanted |= {
        "test/synthetic_bp4d/f1_macro",
        "test/synthetic_feafa/pcc_macro",
        "val/synthetic_disfa/mae_macro",
    }
    for row in ("linear_probe", "always_zero", "always_present"):
        wanted |= {f"baseline/{row}/{name}/f1_macro" for name in DATASETS[:2]}
    for row in ("linear_probe", "always_zero", "training_mean"):
        wanted |= {f"baseline/{row}/{name}/pcc_macro" for name in DATASETS[1:]}
    assert wanted - set(scored) == set()
    assert "seconds" in scored  # of the fit: later verbs add to what is there
    assert not any("always_present/synthetic_feafa" in key for key in scored)


def test_scores_are_of_the_held_out_people(scored: dict[str, Any]) -> None:
    supports = [value for key, value in scored.items() if "/support/" in key and not key.startswith("val/")]
    assert set(supports) == {POPULATION["test_people"] * TEST_FACES}
    assert all(value is None or -1 <= value <= 5 for key, value in scored.items() if "_macro" in key)
    assert scored["baseline/always_present/synthetic_bp4d/f1_macro"] > 0
    assert scored["baseline/always_zero/synthetic_bp4d/f1_macro"] == 0
    # An Action Unit that no tested face shows has no F1, for the model and for the baselines alike.
    for code in BP4D_AUS:
        shown = scored[f"test/synthetic_bp4d/positives/{code}"] > 0
        for row in ("test", "baseline/linear_probe", "baseline/always_present"):
            assert (scored[f"{row}/synthetic_bp4d/f1/{code}"] is not None) == shown


def test_overrides_decide_what_is_tested(run: Path, scored: dict[str, Any]) -> None:
    assert main(["test", str(run), "evaluation.test_samples=1", "evaluation.baselines=false"]) == 0
    result = _result(run)
    assert result["test/synthetic_bp4d/support/AU12"] == 1
    kept = [key for key in scored if key.startswith(("baseline/", "val/")) or key == "seconds"]
    assert {key: result[key] for key in kept} == {key: scored[key] for key in kept}


def test_scoring_writes_the_result_only(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(run)
    assert main(["validate", str(run), "trainer.val_samples=1"]) == 0
    after = contents(run)
    # Fewer faces than before: neither the answers nor the calibration are replaced.
    assert {name for name in after if after[name] != before.get(name)} <= {"result.json"}
    assert "\nsynthetic_bp4d: presence, 1 faces of 1 validation people\n" in capsys.readouterr().out
    assert _result(run)["val/synthetic_bp4d/support/AU1"] == 1
