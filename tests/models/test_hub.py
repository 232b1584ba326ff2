"""Hub ids: read from the cache, never asked for offline, and a refusal that says how to bring the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from aullava.models import hub
from aullava.models.errors import MissingModelError, ModelError
from aullava.models.llm import load_llm, load_tokenizer
from aullava.models.vision import load_preprocessor, load_vision
from tests.checkpoints import Backbone

COMMIT = "a" * 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, with no network behind it."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def put(cache: Path, repository: str, files: str, revision: str = "main") -> Path:
    """Files in the cache's own layout, as a download leaves them."""
    home = cache / f"models--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / COMMIT
    shutil.copytree(files, snapshot)
    (home / "refs" / revision).parent.mkdir(parents=True)
    (home / "refs" / revision).write_text(COMMIT)
    return snapshot


def test_a_cached_repository_is_read_offline(cache: Path, backbone: Backbone) -> None:
    put(cache, "openai/clip", backbone.vision)
    put(cache, "lmsys/vicuna", backbone.llm)
    assert load_vision("openai/clip").num_tokens == load_vision(backbone.vision).num_tokens
    assert load_preprocessor("openai/clip").size == 48
    assert load_llm("lmsys/vicuna").config.model_type == "llama"
    assert load_tokenizer("lmsys/vicuna").eos_token == "</s>"


def test_a_revision_can_be_named(cache: Path, backbone: Backbone) -> None:
    put(cache, "lmsys/vicuna", backbone.llm, "refs/pr/3")
    assert load_llm("lmsys/vicuna@refs/pr/3").config.model_type == "llama"
    with pytest.raises(MissingModelError, match=r"llm\.name is 'lmsys/vicuna', which is not in the cache"):
        load_llm("lmsys/vicuna")


def test_a_folder_of_the_same_name_comes_first(
    cache: Path, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(backbone.llm, tmp_path / "lmsys" / "vicuna")
    monkeypatch.chdir(tmp_path)
    assert load_llm("lmsys/vicuna").config.model_type == "llama"


@pytest.mark.parametrize("name", ["lmsys/vicuna", "lmsys/vicuna@v1"])
def test_what_is_not_there_says_how_to_bring_it(cache: Path, name: str) -> None:
    with pytest.raises(MissingModelError) as caught:
        load_llm(name)
    said = str(caught.value)
    for word in (name, str(cache), "HF_HUB_OFFLINE is set", "config.json, *.safetensors", "HF_HOME"):
        assert word in said
    assert "hf download lmsys/vicuna)" in said
    assert "\n" not in said


def test_a_hub_that_cannot_be_reached_gives_its_reason(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def unreachable(*_: Any, local_files_only: bool, **__: Any) -> str:
        raise OSError("407 ask your administrator\nin two lines")

    monkeypatch.setattr(hub, "snapshot_download", unreachable)
    with pytest.raises(
        MissingModelError, match=r"vision\.name is 'openai/clip'.*\(407 ask your administrator\)"
    ):
        load_vision("openai/clip")


def test_a_cached_repository_that_lacks_files_is_downloaded_where_it_can_be(
    cache: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = put(cache, "lmsys/vicuna", backbone.llm)
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(MissingModelError, match=r"has no \*\.safetensors"):
        load_llm("lmsys/vicuna")
    asked = []

    def download(repository: str, *, local_files_only: bool, **options: Any) -> str:
        if not local_files_only:
            asked.append((repository, options["revision"]))
            shutil.copy(Path(backbone.llm) / "model.safetensors", snapshot)
            assert not any("bin" in pattern or "py" in pattern for pattern in options["allow_patterns"])
        return str(snapshot)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "snapshot_download", download)
    load_llm("lmsys/vicuna")
    load_llm("lmsys/vicuna")
    assert asked == [("lmsys/vicuna", None)]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("a/b", True),
        ("a-1/b.c_d@refs/pr/1", True),
        ("tiny", False),
        ("/a/b", False),
        ("./a/b", False),
        ("a/b/c", False),
    ],
)
def test_what_can_be_a_hub_id(name: str, is_one: bool) -> None:
    assert hub.is_hub_id(name) is is_one


def shard(folder: Path) -> None:
    """Split a model into two files with an index, as large checkpoints are."""
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(state)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, held in parts.items():
        save_file({name: state[name] for name in held}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, held in parts.items() for name in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_shards_are_read_and_a_missing_one_is_named(backbone: Backbone, tmp_path: Path) -> None:
    folder = tmp_path / "llm"
    shutil.copytree(backbone.llm, folder)
    shard(folder)
    whole, split = load_llm(backbone.llm).state_dict(), load_llm(str(folder)).state_dict()
    assert all(torch.equal(whole[name], split[name]) for name in whole)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(MissingModelError, match=r"has no model-00002-of-00002\.safetensors"):
        load_llm(str(folder))
    (folder / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(ModelError, match=r"index\.json cannot be read"):
        load_llm(str(folder))


def test_code_of_the_folder_is_not_run(backbone: Backbone, tmp_path: Path) -> None:
    for part, load in (("llm", load_llm), ("vision", load_vision)):
        folder = tmp_path / part
        shutil.copytree(getattr(backbone, part), folder)
        config = {"model_type": "their_own", "auto_map": {"AutoConfig": "theirs.Config"}}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "theirs.py").write_text("raise SystemExit('it ran')")
        with pytest.raises(ModelError, match=r"names code of its own \(auto_map\), which is not run"):
            load(str(folder))
