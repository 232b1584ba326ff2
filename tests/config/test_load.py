"""What a file and a command line become: values, types, and where each came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aullava.config.errors import ConfigError
from aullava.config.load import resolve
from aullava.config.schema import Config, DatasetConfig, OptimConfig, Vocabulary

Files = Callable[[dict[str, str]], Path]


def test_a_file_becomes_typed_objects(run_file: Path, words: Vocabulary) -> None:
    config = resolve(run_file, (), words).config
    assert type(config) is Config
    assert type(config.optim) is OptimConfig
    assert type(config.data.datasets["drawn_faces"]) is DatasetConfig
    assert (config.experiment, config.trainer.max_steps, config.optim.lr_lora) == ("run", 5, 1e-4)
    assert config.optim.lr_projector == OptimConfig().lr_projector


def test_every_leaf_knows_where_it_came_from(run_file: Path, words: Vocabulary) -> None:
    options = ["data.datasets.drawn_faces.options.people=8", "seed=3"]
    resolved = resolve(run_file, options, words)
    places = resolved.provenance
    assert places["experiment"] == "run.yaml:1"
    assert places["trainer.max_steps"] == "run.yaml:6"
    assert places["optim.lr_lora"] == "run.yaml:7"
    assert places["optim.clip"] == "schema default"
    assert places["data.datasets.drawn_faces.fold"] == "schema default"
    assert places["data.datasets.drawn_faces.options.people"] == "command line"
    assert places["data.datasets.drawn_faces.options.size"] == "FacesOptions default"
    assert places["seed"] == "command line"
    assert resolved.overrides == tuple(options)
    assert resolved.files == (run_file.absolute(),)


def test_a_file_outside_the_current_folder_is_named_in_full(
    run_file: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_file.absolute()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert resolve(whole).provenance["experiment"] == f"{whole}:1"


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("adapter.targets=[q_proj,v_proj]", "adapter.targets", ["q_proj", "v_proj"]),
        ("adapter={r: 4, alpha: 8}", "adapter.alpha", 8),
        ("optim.lr_projector=1e-5", "optim.lr_projector", 1e-5),
        ("optim.clip=2", "optim.clip", 2.0),
        ("text.definitions=false", "text.definitions", False),
        ("trainer.val_every=", "trainer.val_every", None),
        ("trainer.val_every=null", "trainer.val_every", None),
        ("experiment=2024", "experiment", "2024"),
        ("runs_dir=a=b", "runs_dir", "a=b"),
        ("runs_dir=${experiment}/x", "runs_dir", "run/x"),
        ("runs_dir=${oc.env:AU_TEST_RUNS}", "runs_dir", "/big/disk"),
        ("optim.lr_projector=${optim.lr_lora}", "optim.lr_projector", 1e-4),
        ("data.datasets.drawn_faces.aus=[AU1,AU12L]", "data.datasets", ["AU1", "AU12L"]),
    ],
)
def test_overrides_win_and_are_converted(
    run_file: Path, words: Vocabulary, monkeypatch: pytest.MonkeyPatch, override: str, key: str, value: object
) -> None:
    monkeypatch.setenv("AU_TEST_RUNS", "/big/disk")
    node: object = resolve(run_file, [override], words).config
    for name in key.split("."):
        node = getattr(node, name)
    got = node["drawn_faces"].aus if isinstance(node, dict) else node
    assert got == value
    assert type(got) is type(value)


def test_the_last_of_two_equal_overrides_holds(run_file: Path) -> None:
    assert resolve(run_file, ["seed=1", "seed=2"]).config.seed == 2


def test_lists_are_replaced_and_sections_merged(files: Files) -> None:
    first = "data: {datasets: {plain_faces: {fold: 2, aus: [AU1, AU2]}}}\nadapter: {r: 4, targets: [a, b]}\n"
    second = "extends: first\ndata: {datasets: {plain_faces: {aus: [AU12]}}}\nadapter: {targets: [c]}\n"
    config = resolve(files({"first": first, "second": second}), ["trainer.max_steps=1"]).config
    assert (config.adapter.r, config.adapter.targets) == (4, ["c"])
    assert config.data.datasets["plain_faces"] == DatasetConfig(fold=2, aus=["AU12"])


def test_options_are_completed_and_converted(run_file: Path, words: Vocabulary) -> None:
    overrides = [f"data.datasets.drawn_faces.options.{option}" for option in ("size=32", "coding=double")]
    options = resolve(run_file, overrides, words).config.data.datasets["drawn_faces"].options
    assert options == {
        "people": 60,
        "size": 32.0,
        "coding": "double",
        "sides": ["left", "right"],
        "home": "faces",
    }
    assert type(options["size"]) is float


def test_without_a_vocabulary_names_and_options_pass_unchecked(run_file: Path) -> None:
    overrides = ["data.datasets.anything.options.x=[1, {a: 2}]", "data.datasets.anything.aus=[AU99]"]
    dataset = resolve(run_file, overrides).config.data.datasets["anything"]
    assert dataset == DatasetConfig(aus=["AU99"], options={"x": [1, {"a": 2}]})


def test_a_question_mark_is_filled_from_any_side(files: Files) -> None:
    """`???` in a file demands a value; one from below or from the command line satisfies it."""
    files({"low": "seed: 4\n"})
    text = (
        "extends: low\nseed: ???\ntrainer:\n  max_steps: ???\ndata:\n  datasets:\n    a:\n      root: ???\n"
    )
    path = files({"x": text})
    with pytest.raises(ConfigError, match=r"^x\.yaml:4: trainer\.max_steps has no value"):
        resolve(path)
    with pytest.raises(ConfigError, match=r"^x\.yaml:8: data\.datasets\.a\.root has no value"):
        resolve(path, ["trainer.max_steps=1"])
    resolved = resolve(path, ["trainer.max_steps=1", "data.datasets.a.root=/faces"])
    assert (resolved.config.seed, resolved.provenance["seed"]) == (4, "low.yaml:1")


def test_two_resolutions_share_nothing(run_file: Path, words: Vocabulary) -> None:
    first, second = (resolve(run_file, (), words).config for _ in range(2))
    first.adapter.targets.append("lm_head")
    first.data.datasets["drawn_faces"].options["people"] = 0
    assert second == resolve(run_file, (), words).config
