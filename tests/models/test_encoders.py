"""Every supported vision encoder: the hidden state asked for, and nothing above it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from aullava.models.errors import ModelError
from aullava.models.vision import load_preprocessor, load_vision
from tests.checkpoints import IMAGE, IMAGE_TOKENS, WIDTH
from tests.model_folders import DEPTH, ENCODERS, prefix, write_encoder, write_processor


@pytest.mark.parametrize("layers", [[-1], [-2], [1], [-1, 1], [1, -2, -1]])
@pytest.mark.parametrize("kind", ENCODERS)
def test_features_are_the_hidden_states_without_class_and_register_tokens(
    kind: str, layers: list[int], tmp_path: Path
) -> None:
    full = write_encoder(kind, tmp_path)
    pixels = torch.randn(2, 3, IMAGE, IMAGE)
    with torch.no_grad():
        states = full(pixels, output_hidden_states=True).hidden_states
        wanted = torch.cat([states[layer] for layer in layers], dim=-1)
    patches, everything = load_vision(str(tmp_path), layers), load_vision(str(tmp_path), layers, tokens="all")
    assert wanted.shape[1] == IMAGE_TOKENS + prefix(kind)
    assert (patches.num_tokens, patches.dim) == (IMAGE_TOKENS, WIDTH * len(layers))
    assert everything.num_tokens == wanted.shape[1]
    assert torch.equal(patches(pixels), wanted[:, prefix(kind) :])
    assert torch.equal(everything(pixels), wanted)


@pytest.mark.parametrize("kind", ENCODERS)
def test_nothing_above_the_feature_layer_is_built(kind: str, tmp_path: Path) -> None:
    write_encoder(kind, tmp_path)
    names = load_vision(str(tmp_path), -2).state_dict()
    layers = {
        name.split(".layer")[1].split(".")[1] for name in names if ".layer" in name and ".encoder" in name
    }
    assert layers == {str(number) for number in range(DEPTH - 1)}
    assert [name for name in names if "head" in name or "text_model" in name] == []


@pytest.mark.parametrize("kind", ENCODERS)
def test_size_and_normalisation_are_the_checkpoint_s_own(kind: str, tmp_path: Path) -> None:
    write_encoder(kind, tmp_path)
    path = tmp_path / "preprocessor_config.json"
    changed = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7]}
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    preprocess = load_preprocessor(str(tmp_path))
    assert preprocess.size == IMAGE
    black = preprocess([torch.zeros(IMAGE, IMAGE, 3, dtype=torch.uint8).numpy()])[0, :, 0, 0]
    torch.testing.assert_close(black, torch.tensor([-0.1 / 0.5, -0.2 / 0.6, -0.3 / 0.7]))


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_processor_of_another_size_is_refused(kind: str, tmp_path: Path) -> None:
    write_encoder(kind, tmp_path)
    write_processor(kind, tmp_path, 2 * IMAGE)
    with pytest.raises(
        ModelError, match=f"makes images of {2 * IMAGE} pixels, but the encoder takes {IMAGE}"
    ):
        load_vision(str(tmp_path))


@pytest.mark.parametrize("kind", ["dinov2", "dinov2 registers"])
def test_dinov2_takes_any_size_that_its_patches_fill(kind: str, tmp_path: Path) -> None:
    write_encoder(kind, tmp_path)
    write_processor(kind, tmp_path, 72)
    encoder = load_vision(str(tmp_path))
    assert encoder.num_tokens == 36
    assert encoder(torch.randn(1, 3, 72, 72)).shape == (1, 36, WIDTH)
    write_processor(kind, tmp_path, 70)
    with pytest.raises(ModelError, match="images of 70 pixels, which patches of 12 do not fill"):
        load_vision(str(tmp_path))


def test_a_processor_that_makes_no_squares_is_refused(tmp_path: Path) -> None:
    write_encoder("siglip", tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"size": {"height": 48, "width": 96}}))
    with pytest.raises(ModelError, match="makes images of 48 x 96 pixels"):
        load_vision(str(tmp_path))


def test_an_encoder_of_variable_resolution_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "siglip2_vision_model"}')
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match=r"describes a 'siglip2_vision_model'.*use a clip_vision_model or"):
        load_vision(str(tmp_path))


def test_another_word_for_the_tokens_is_refused(tmp_path: Path) -> None:
    write_encoder("clip", tmp_path)
    with pytest.raises(ModelError, match=r"unknown vision\.tokens 'cls': write patches or all"):
        load_vision(str(tmp_path), tokens="cls")
