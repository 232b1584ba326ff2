from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from aullava.models.vision import load_preprocessor, load_vision
from aullava.tiny_backbone import encoder
from aullava.tiny_backbone.encoder import EncoderRecipe, MaskedAutoencoder, to_pixel_values, train_encoder
from aullava.tiny_backbone.write import write_encoder
from datamodules.drawn_faces.scene import draw_face

SIZE = 48
RECIPE = EncoderRecipe(
    image_size=SIZE,
    hidden=32,
    layers=2,
    heads=2,
    decoder_hidden=16,
    batch_size=8,
    cycles=((30, 5e-3), (10, 2e-3)),
    warmup=5,
)
Faces = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def faces() -> Faces:
    return np.stack([draw_face(1, person, 0, SIZE)[0] for person in range(12)])


def _loss(model: MaskedAutoencoder, faces: Faces) -> float:
    """On fixed masks, so that two models can be compared."""
    torch.manual_seed(0)
    with torch.no_grad():
        return float(np.mean([float(model(to_pixel_values(faces))) for _ in range(8)]))


@pytest.fixture(scope="module")
def model(faces: Faces) -> MaskedAutoencoder:
    return train_encoder(faces, RECIPE, seed=3)


def test_the_loss_falls(model: MaskedAutoencoder, faces: Faces) -> None:
    torch.manual_seed(3)
    assert _loss(model, faces) < 0.9 * _loss(MaskedAutoencoder(RECIPE), faces)


def test_the_same_seed_gives_the_same_encoder(faces: Faces) -> None:
    recipe = EncoderRecipe(
        image_size=SIZE, hidden=32, layers=1, heads=2, decoder_hidden=16, cycles=((2, 1e-3),), warmup=1
    )
    states = [train_encoder(faces, recipe, seed).state_dict() for seed in (5, 5, 6)]
    equal = [all(torch.equal(states[0][key], other[key]) for key in states[0]) for other in states]
    assert equal == [True, True, False]


def test_a_batch_larger_than_the_population_is_the_population(faces: Faces) -> None:
    recipe = EncoderRecipe(
        image_size=SIZE, hidden=32, layers=1, heads=2, decoder_hidden=16, cycles=((1, 1e-3),), warmup=1
    )
    assert recipe.batch_size > len(faces)
    assert isinstance(train_encoder(faces, recipe), MaskedAutoencoder)


def test_the_encoder_never_sees_what_it_has_to_predict(faces: Faces) -> None:
    """With nothing hidden there is nothing to predict; with all but one patch hidden, one patch is read."""
    seen: list[int] = []
    for masked, shown in ((0.75, 4), (15 / 16, 1)):
        recipe = EncoderRecipe(
            image_size=SIZE, hidden=32, layers=1, heads=2, decoder_hidden=16, masked=masked
        )
        model = MaskedAutoencoder(recipe)
        handle = model.encoder.encoder.register_forward_pre_hook(
            lambda module, args, kwargs: seen.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
        )
        model(to_pixel_values(faces[:2]))
        handle.remove()
        assert seen.pop() == shown + 1  # and the class token


def test_the_folder_loads_like_any_other_backbone(
    model: MaskedAutoencoder, faces: Faces, tmp_path: Path
) -> None:
    write_encoder(model.encoder, tmp_path / "vision")
    vision, preprocess = (
        load_vision(str(tmp_path / "vision"), -1),
        load_preprocessor(str(tmp_path / "vision")),
    )
    pixels = preprocess(list(faces[:3]))
    torch.testing.assert_close(pixels, to_pixel_values(faces[:3]), atol=1e-5, rtol=1e-5)
    features = vision(pixels)
    assert features.shape == (3, (SIZE // RECIPE.patch_size) ** 2, 32)
    assert torch.isfinite(features).all()
    assert features.std() > 0
    assert (vision.num_tokens, vision.dim) == (16, 32)


def test_pictures_are_shifted_and_mirrored_but_stay_pictures(faces: Faces) -> None:
    changed = encoder._augmented(faces, np.random.default_rng(0))
    assert (changed.shape, changed.dtype) == (faces.shape, faces.dtype)
    assert not np.array_equal(changed, faces)
    again = encoder._augmented(faces, np.random.default_rng(0))
    assert np.array_equal(changed, again)
