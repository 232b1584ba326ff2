from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn
from transformers import CLIPVisionModel

from aullava.models.vision import load_preprocessor, load_vision
from aullava.tiny_backbone import encoder
from aullava.tiny_backbone.encoder import (
    EncoderRecipe,
    Lessons,
    build_encoder,
    to_pixel_values,
    train_encoder,
)
from aullava.tiny_backbone.learning import Schedule, learn
from aullava.tiny_backbone.masked import Block, MaskedAutoencoder
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
    cycles=(
        Lessons(30, 5e-3),
        Lessons(10, 2e-3, masked=0.5, blanked=0.75),
        Lessons(10, 2e-3, masked=0.5, blanked=0.5, edges=True),
    ),
    warmup=5,
)
Faces = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def faces() -> Faces:
    return np.stack([draw_face(1, person, 0, SIZE)[0] for person in range(12)])


def _teacher(
    vision: CLIPVisionModel, masked: float = 0.7, blanked: float = 0.0, edges: bool = False
) -> MaskedAutoencoder:
    torch.manual_seed(0)
    return MaskedAutoencoder(vision, 16, 1, masked, blanked, edges)


@pytest.fixture(scope="module")
def vision(faces: Faces) -> CLIPVisionModel:
    return train_encoder(faces, RECIPE, seed=3)


@pytest.mark.parametrize(
    ("masked", "blanked", "edges"), [(0.7, 0.0, False), (0.5, 0.75, False), (0.5, 0.5, True)]
)
def test_the_loss_falls(masked: float, blanked: float, edges: bool, faces: Faces) -> None:
    teacher = _teacher(build_encoder(RECIPE), masked, blanked, edges)

    def loss() -> float:
        torch.manual_seed(1)  # the same masks
        with torch.no_grad():
            return float(np.mean([float(teacher(to_pixel_values(faces))) for _ in range(8)]))

    before, schedule = loss(), Schedule(steps=40, peak=5e-3, warmup=5, floor=0.0, weight_decay=0.0)
    batches = encoder._batches(faces, 8, np.random.default_rng(0))
    learn("test", teacher, encoder._losses(teacher, batches), schedule)
    assert loss() < 0.9 * before


def test_the_same_seed_gives_the_same_encoder(faces: Faces) -> None:
    recipe = EncoderRecipe(
        image_size=SIZE, hidden=32, layers=1, heads=2, decoder_hidden=16, cycles=(Lessons(2, 1e-3),), warmup=1
    )
    states = [train_encoder(faces, recipe, seed).state_dict() for seed in (5, 5, 6)]
    equal = [all(torch.equal(states[0][key], other[key]) for key in states[0]) for other in states]
    assert equal == [True, True, False]


def test_a_batch_larger_than_the_population_is_the_population(faces: Faces) -> None:
    recipe = EncoderRecipe(
        image_size=SIZE, hidden=32, layers=1, heads=2, decoder_hidden=16, cycles=(Lessons(1, 1e-3),), warmup=1
    )
    assert recipe.batch_size > len(faces)
    assert isinstance(train_encoder(faces, recipe), CLIPVisionModel)


def test_the_encoder_never_sees_what_it_has_to_predict(faces: Faces) -> None:
    """With nothing hidden there is nothing to predict; with all but one patch hidden, one patch is read."""
    seen: list[int] = []
    for masked, shown in ((0.75, 4), (15 / 16, 1)):
        vision = build_encoder(RECIPE)
        handle = vision.encoder.register_forward_pre_hook(
            lambda module, args, kwargs: seen.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
        )
        _teacher(vision, masked)(to_pixel_values(faces[:2]))
        handle.remove()
        assert seen.pop() == shown + 1  # and the class token


def test_blanked_blocks_are_not_seen_and_are_asked_for(faces: Faces) -> None:
    """Pixels of other pictures inside the blanked blocks change what is wanted and nothing that is read."""
    teacher, pixels = _teacher(build_encoder(RECIPE), masked=0.5, blanked=1.0), to_pixel_values(faces[:4])
    read: list[torch.Tensor] = []
    handle = teacher.encoder.embeddings.register_forward_pre_hook(lambda module, args: read.append(args[0]))
    torch.manual_seed(5)
    loss = teacher(pixels)
    assert teacher.blank is not None
    hidden = (read[0] == teacher.blank.view(1, 3, 1, 1)).all(1, keepdim=True)
    assert 0.2 < hidden.float().mean() < 0.8
    torch.manual_seed(5)
    other = teacher(torch.where(hidden, pixels.flip(0), pixels))
    handle.remove()
    assert torch.equal(read[0], read[1])
    assert loss != other
    loss.backward()
    asked = teacher.own_pixels.get_parameter("1.weight").grad  # what is read off a shown patch alone
    assert asked is not None
    assert asked.abs().max() > 0


def test_edges_are_asked_of_patches_shown_and_of_patches_left_out(faces: Faces) -> None:
    """Edges of the picture as it is: what is wanted of a blanked block is what it would have shown."""
    teacher, pixels = _teacher(build_encoder(RECIPE), masked=0.5, edges=True), to_pixel_values(faces[:4])
    torch.manual_seed(5)
    with_edges = teacher(pixels)
    torch.manual_seed(5)
    teacher.edges = False
    assert float(with_edges) > float(teacher(pixels))
    with_edges.backward()
    for name in ("to_edges.weight", "own_edges.1.weight"):
        asked = teacher.get_parameter(name).grad
        assert asked is not None
        assert asked.abs().max() > 0


def test_the_blocks_attention_is_pytorchs_own() -> None:
    """Weights moved over into `nn.TransformerEncoderLayer`, the same states come out."""
    block, states = Block(24, 3), torch.randn(2, 7, 24)
    theirs = nn.TransformerEncoderLayer(24, 3, 96, 0.0, "gelu", batch_first=True, norm_first=True)
    attention = theirs.self_attn
    with torch.no_grad():
        assert attention.in_proj_weight is not None
        attention.in_proj_weight.copy_(block.read.weight)
        attention.in_proj_bias.copy_(block.read.bias)
    attention.out_proj.load_state_dict(block.write.state_dict())
    theirs.norm1.load_state_dict(block.before.state_dict())
    theirs.norm2.load_state_dict(block.after.state_dict())
    theirs.linear1.load_state_dict(block.feed_forward[0].state_dict())
    theirs.linear2.load_state_dict(block.feed_forward[2].state_dict())
    torch.testing.assert_close(block(states), theirs(states), atol=1e-5, rtol=1e-5)


def test_the_folder_loads_like_any_other_backbone(
    vision: CLIPVisionModel, faces: Faces, tmp_path: Path
) -> None:
    write_encoder(vision, tmp_path / "vision")
    loaded, preprocess = (
        load_vision(str(tmp_path / "vision"), -1),
        load_preprocessor(str(tmp_path / "vision")),
    )
    pixels = preprocess(list(faces[:3]))
    torch.testing.assert_close(pixels, to_pixel_values(faces[:3]), atol=1e-5, rtol=1e-5)
    features = loaded(pixels)
    assert features.shape == (3, (SIZE // RECIPE.patch_size) ** 2, 32)
    assert torch.isfinite(features).all()
    assert features.std() > 0
    assert (loaded.num_tokens, loaded.dim) == (16, 32)


def test_pictures_are_shifted_and_mirrored_but_stay_pictures(faces: Faces) -> None:
    changed = encoder._augmented(faces, np.random.default_rng(0))
    assert (changed.shape, changed.dtype) == (faces.shape, faces.dtype)
    assert not np.array_equal(changed, faces)
    again = encoder._augmented(faces, np.random.default_rng(0))
    assert np.array_equal(changed, again)
