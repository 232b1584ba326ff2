"""Every YAML that is shipped resolves through the real loader: a stale key or fragment cannot stay behind."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from aullava.build import build_data
from aullava.cli import main
from aullava.config.changes import flat
from aullava.config.command_line import GROUPS
from aullava.config.load import resolve
from aullava.vocabulary import vocabulary
from datamodules import registry
from datamodules.action_units import UNKNOWN
from tests.fakes import WITH_FILES, quick, root_variable, written
from tests.source_tree import REPOSITORY

EXPERIMENTS = REPOSITORY / "experiments"
SHIPPED = sorted(EXPERIMENTS.rglob("*.yaml"))
# A fragment says only a part; it is resolved as a part of this one.
WHOLE = EXPERIMENTS / "demo.yaml"


def _words(path: Path) -> tuple[Path, list[str]]:
    """The experiment and overrides by which a user reaches a file: itself, or `group=NAME`."""
    group = path.parent.name
    if path.parent != EXPERIMENTS and group in GROUPS:
        return WHOLE, [f"{group}={path.stem}"]
    return (WHOLE, []) if path.stem == "base" else (path, [])


@pytest.mark.parametrize("path", SHIPPED, ids=[str(path.relative_to(EXPERIMENTS)) for path in SHIPPED])
def test_a_shipped_file_resolves_and_takes_part(path: Path) -> None:
    experiment, overrides = _words(path)
    resolved = resolve(experiment, overrides, vocabulary())
    assert path in resolved.files
    assert resolved.config.trainer.max_steps >= 1
    assert resolved.config.data.datasets


def test_experiments_are_shipped() -> None:
    assert {"base.yaml", "demo.yaml", "synthetic.yaml"} <= {path.name for path in SHIPPED}


ABLATIONS = {
    "no_definitions": {"text.definitions"},
    "mlp_projector": {"projector.kind"},
    "image_first": {"text.order"},
    "independent": {"answer.independent"},
}


def test_an_ablation_changes_one_thing() -> None:
    assert {path.stem for path in SHIPPED if path.parent.name == "ablation"} == set(ABLATIONS)
    whole = flat(resolve(EXPERIMENTS / "unified.yaml", (), vocabulary()).config)
    for name, changed in ABLATIONS.items():
        path = EXPERIMENTS / "ablation" / f"{name}.yaml"
        ablated = flat(resolve(path, (), vocabulary()).config)
        differ = {key for key in whole if whole[key] != ablated[key]}
        assert differ == {"experiment", *changed}


@pytest.mark.parametrize("name", ["bp4d", "disfa", "feafa", "unified"])
def test_the_recipes_name_real_backbones_and_run_on_a_tiny_one(name: str) -> None:
    path = EXPERIMENTS / f"{name}.yaml"
    real = resolve(path, (), vocabulary()).config
    assert real.vision.name == "openai/clip-vit-large-patch14-336"
    assert real.llm.name == "lmsys/vicuna-7b-v1.5"
    assert (real.projector.kind, real.adapter.kind) == ("linear", "lora")
    assert real.trainer.precision == "bf16-mixed"
    assert not real.projector.align
    tiny = resolve(path, ["model=tiny"], vocabulary()).config
    assert {tiny.vision.name, tiny.llm.name} == {"tiny"}
    assert tiny.trainer.accumulate == 1


@pytest.mark.parametrize(("shared", "each"), [("true", ", with 2 questions in each."), ("false", ".")])
def test_the_memory_is_that_of_all_questions_about_a_batch(
    shared: str, each: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["config", str(EXPERIMENTS / "disfa.yaml"), "--memory", f"data.shared_image={shared}"]
    words += ["data.batch_size=16", "data.datasets.disfa.formats=[presence,level]"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "\n16 sequences of " in said
    assert f" learned{each} Activations" in said
    # The features of all faces; a vision encoder of 0.3 and a language model of 7 billion weights.
    assert re.search(r"would take 1\d\d\.\d GiB for 1\d\d,\d{3} faces \(576 x 1024, bfloat16\)", said)
    assert re.search(r"save [0-2]\.\d% of a step's arithmetic \(calculated\): not worth it\.", said)
    assert said.endswith("It is not used while data.flip=0.5 mirrors faces.\n")


def test_every_dataset_has_a_fragment() -> None:
    assert set(registry.BUILT_IN) <= {path.stem for path in SHIPPED if path.parent.name == "data"}


@pytest.mark.parametrize("name", WITH_FILES)
def test_the_root_comes_from_the_environment(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(root_variable(name), raising=False)
    assert resolve(WHOLE, [f"data={name}"], vocabulary()).config.data.datasets[name].root is None
    monkeypatch.setenv(root_variable(name), str(tmp_path))
    assert resolve(WHOLE, [f"data={name}"], vocabulary()).config.data.datasets[name].root == str(tmp_path)


@pytest.mark.parametrize("name", WITH_FILES)
def test_the_fragment_of_a_dataset_reads_its_fake(name: str, tmp_path: Path) -> None:
    words = [f"data={name}", *written([name], tmp_path)]
    data = build_data(resolve(WHOLE, words, vocabulary()).config)
    data.prepare_data()
    data.setup("fit")
    (member,) = data.members
    for part in ("train", "val", "test"):
        sample = member.sample(member.rows(part)[0])
        assert sample.image.std() > 0
        assert np.any(sample.labels != UNKNOWN)


EXPERIMENTS_ON_FILES = {
    "bp4d": {"bp4d"},
    "disfa": {"disfa"},
    "feafa": {"feafa"},
    "unified": {"bp4d", "disfa", "disfa.presence", "feafa"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS_ON_FILES)
def test_the_experiments_on_files_run_on_fakes(name: str, tmp_path: Path) -> None:
    asked = EXPERIMENTS_ON_FILES[name]
    words = written([one for one in sorted(asked) if "." not in one], tmp_path)
    assert main(["fit", str(EXPERIMENTS / f"{name}.yaml"), "model=tiny", *words, *quick(tmp_path)]) == 0
    run = tmp_path / "runs" / name / "1"
    assert main(["test", str(run)]) == 0
    scores = json.loads((run / "result.json").read_text())
    assert {key.split("/")[1] for key in scores if key.startswith("test/")} == asked
    assert {key.split("/")[1] for key in scores if key.startswith("val/")} == asked


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(WITH_FILES) - set(EXPERIMENTS_ON_FILES)))
def test_the_other_datasets_train_on_their_fakes(name: str, tmp_path: Path) -> None:
    words = [f"data={name}", *written([name], tmp_path), *quick(tmp_path)]
    assert main(["fit", str(WHOLE), *words]) == 0
    scores = json.loads((tmp_path / "runs" / "demo" / "1" / "result.json").read_text())
    assert {key.split("/")[1] for key in scores if key.startswith("val/")} == {name}
