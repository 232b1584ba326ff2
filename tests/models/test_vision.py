from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import CLIPImageProcessorPil, CLIPVisionModel

from aullava.models.errors import MissingModelError, ModelError
from aullava.models.vision import load_preprocessor, load_vision
from tests.checkpoints import IMAGE, IMAGE_TOKENS, LAYERS, WIDTH, Backbone


@pytest.mark.parametrize("layer", [-1, -2, 1, 2])
def test_features_are_the_hidden_state_asked_for(backbone: Backbone, layer: int) -> None:
    pixels = torch.randn(3, 3, IMAGE, IMAGE)
    full = CLIPVisionModel.from_pretrained(backbone.vision)
    with torch.no_grad():
        wanted = full(pixels, output_hidden_states=True).hidden_states[layer][:, 1:]
    encoder = load_vision(backbone.vision, layer)
    assert (encoder.num_tokens, encoder.dim) == (IMAGE_TOKENS, WIDTH)
    assert torch.equal(encoder(pixels), wanted)


def test_layers_above_the_features_are_absent(backbone: Backbone) -> None:
    def layers(layer: int) -> set[str]:
        names = load_vision(backbone.vision, layer).state_dict()
        return {name.split("layers.")[1].split(".")[0] for name in names if "layers." in name}

    assert layers(-1) == {"0", "1"}
    assert layers(-2) == {"0"}


@pytest.mark.parametrize("layer", [0, 3, -3, 17])
def test_a_layer_that_is_not_there_is_refused(backbone: Backbone, layer: int) -> None:
    with pytest.raises(
        ModelError, match=f"vision.layers: {layer} is not a layer of an encoder with {LAYERS} layers"
    ):
        load_vision(backbone.vision, layer)


@pytest.mark.parametrize(("layers", "said"), [([], "is empty"), ([-1, 2], "names layer -1 twice")])
def test_layers_that_say_nothing_new_are_refused(backbone: Backbone, layers: list[int], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        load_vision(backbone.vision, layers)


def test_the_encoder_stays_frozen_and_in_eval_mode(backbone: Backbone) -> None:
    encoder = load_vision(backbone.vision, -1)
    encoder.train()
    assert not any(module.training for module in encoder.modules())
    assert not any(tensor.requires_grad for tensor in encoder.parameters())
    pixels = torch.randn(1, 3, IMAGE, IMAGE, requires_grad=True)
    assert not encoder(pixels).requires_grad


def test_half_precision_weights_take_fp32_pixels(backbone: Backbone) -> None:
    assert (
        load_vision(backbone.vision, -1, torch.bfloat16)(torch.randn(1, 3, IMAGE, IMAGE)).dtype
        is torch.bfloat16
    )


def test_another_kind_of_model_is_refused(backbone: Backbone) -> None:
    with pytest.raises(ModelError, match=r"describes a 'llama', which cannot serve as vision\.name"):
        load_vision(backbone.llm, -1)


def images(*shapes: tuple[int, int]) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]


@pytest.mark.parametrize(
    "shapes",
    [((IMAGE, IMAGE),) * 3, ((64, 64), (IMAGE, IMAGE)), ((70, 50), (30, 90)), ((3, 200),)],
    ids=["finished", "mixed", "not square", "flat"],
)
def test_pixels_are_those_of_the_processor(backbone: Backbone, shapes: tuple[tuple[int, int], ...]) -> None:
    batch = images(*shapes)
    processor = CLIPImageProcessorPil.from_pretrained(backbone.vision)
    wanted = processor(images=batch, return_tensors="pt", input_data_format="channels_last")["pixel_values"]
    found = load_preprocessor(backbone.vision)(batch)
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"size": {"height": 32, "width": 32}, "do_center_crop": False},
        {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}},
        {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, "do_normalize": False},
        {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, "do_rescale": False},
    ],
)
def test_every_setting_of_the_processor_counts(
    tmp_path_factory: pytest.TempPathFactory, settings: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("processor")
    processor = CLIPImageProcessorPil(**settings)
    processor.save_pretrained(folder)
    preprocess = load_preprocessor(str(folder))
    batch = images((32, 32), (32, 32))
    wanted = processor(images=batch, return_tensors="pt")["pixel_values"]
    assert preprocess.size == 32
    torch.testing.assert_close(preprocess(batch), wanted, rtol=1e-6, atol=1e-6)


def test_a_folder_without_a_processor_is_refused(backbone: Backbone) -> None:
    with pytest.raises(MissingModelError, match=r"has no preprocessor_config\.json or"):
        load_preprocessor(backbone.llm)
