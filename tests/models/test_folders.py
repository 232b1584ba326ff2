from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers.utils import logging

from aullava.models import folders
from aullava.models.errors import MissingModelError, ModelError
from aullava.models.llm import load_llm, load_tokenizer
from aullava.models.vision import load_preprocessor, load_vision
from tests.checkpoints import Backbone


@pytest.fixture
def copy(backbone: Backbone, tmp_path: Path) -> Backbone:
    for part in ("vision", "llm"):
        shutil.copytree(getattr(backbone, part), tmp_path / part)
    return Backbone(str(tmp_path / "vision"), str(tmp_path / "llm"))


def test_a_missing_folder_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(MissingModelError) as caught:
        load_llm(str(tmp_path / "vicuna"))
    message = str(caught.value)
    assert "llm.name" in message
    assert str(tmp_path / "vicuna") in message
    assert "config.json, *.safetensors" in message
    assert "\n" not in message
    with pytest.raises(MissingModelError, match=r"vision\.name is '.*clip'"):
        load_vision(str(tmp_path / "clip"))
    with pytest.raises(MissingModelError, match=r"tokenizer\.json"):
        load_tokenizer(str(tmp_path / "vicuna"))


@pytest.mark.parametrize(
    ("file", "named"), [("config.json", "config.json"), ("model.safetensors", "safetensors")]
)
def test_a_missing_file_is_named(copy: Backbone, file: str, named: str) -> None:
    (Path(copy.llm) / file).unlink()
    with pytest.raises(MissingModelError, match=f"has no .*{named}"):
        load_llm(copy.llm)


def test_a_pickle_is_refused(copy: Backbone) -> None:
    folder = Path(copy.llm)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(
        ModelError, match=r"only as a pickle \(pytorch_model.bin\).*convert it to model.safetensors"
    ):
        load_llm(copy.llm)


def test_damaged_weights_are_refused(copy: Backbone) -> None:
    path = Path(copy.vision) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_vision(copy.vision)


def test_weights_of_a_smaller_model_are_refused(copy: Backbone) -> None:
    """Transformers would fill the missing layers with random numbers and say so in a log line."""
    path = Path(copy.llm) / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ModelError, match=r"lacks 9 weights of its LlamaForCausalLM \(first: model.layers.2"):
        load_llm(copy.llm)
    path.write_text(json.dumps(config | {"intermediate_size": 48}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_llm(copy.llm)


@pytest.mark.parametrize("text", ["{", '{"model_type": "unheard_of"}'])
def test_a_config_that_cannot_be_read_is_refused(copy: Backbone, text: str) -> None:
    (Path(copy.vision) / "config.json").write_text(text)
    with pytest.raises(ModelError, match="cannot be read"):
        load_vision(copy.vision)


def test_a_processor_or_tokenizer_that_cannot_be_read_is_refused(copy: Backbone) -> None:
    (Path(copy.vision) / "preprocessor_config.json").write_text('{"image_processor_type": "Unheard"}')
    with pytest.raises(ModelError, match="image processor"):
        load_preprocessor(copy.vision)
    (Path(copy.llm) / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer in .* cannot be read"):
        load_tokenizer(copy.llm)


def test_tiny_is_the_folder_beside_the_code(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Path(folders.__file__).parent / "tiny" == folders.TINY
    monkeypatch.setattr(folders, "TINY", Path(backbone.vision).parent)
    assert folders.model_folder("tiny", "llm", [["config.json"]]) == Path(backbone.llm)
    monkeypatch.setattr(folders, "TINY", tmp_path)
    with pytest.raises(MissingModelError, match=f"there is no folder {tmp_path}/vision"):
        load_vision("tiny")


def test_loading_is_silent_and_leaves_the_log_as_it_was(
    backbone: Backbone, capfd: pytest.CaptureFixture[str]
) -> None:
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_vision(backbone.vision, -2)
    load_llm(backbone.llm)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")
