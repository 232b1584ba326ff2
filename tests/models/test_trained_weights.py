from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from aullava.models.errors import CheckpointMismatchError
from aullava.models.vlm import FaceLanguageModel
from datamodules.action_units import Scale
from tests.checkpoints import (
    LAYERS,
    TARGETS,
    WIDTH,
    Backbone,
    build_collator,
    build_model,
    faces,
    run,
    trained,
)

B = "llm.base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.weight"


@pytest.fixture
def source(backbone: Backbone) -> FaceLanguageModel:
    return trained(build_model(backbone))


@pytest.fixture
def target(backbone: Backbone) -> FaceLanguageModel:
    return build_model(backbone)


def test_it_holds_what_is_trained_and_nothing_frozen(source: FaceLanguageModel) -> None:
    state = source.trainable_state_dict()
    assert len(state) == 2 * LAYERS * len(TARGETS) + 2
    assert all("lora_" in name or name.startswith("projector.") for name in state)
    assert not any(tensor.requires_grad for tensor in state.values())


def test_a_round_trip_through_a_file_gives_the_same_model(
    backbone: Backbone, source: FaceLanguageModel, target: FaceLanguageModel, tmp_path: Path
) -> None:
    batch = build_collator(backbone)(faces(2, "AU1 AU2", Scale.LEVEL))
    assert not torch.equal(run(source, batch).logits, run(target, batch).logits)
    save_file(source.trainable_state_dict(), tmp_path / "trained.safetensors")
    target.load_trainable_state_dict(load_file(tmp_path / "trained.safetensors"))
    assert torch.equal(run(source, batch).logits, run(target, batch).logits)
    assert all(t.requires_grad for n, t in target.named_parameters() if n in source.trainable_state_dict())


def refuse(target: FaceLanguageModel, state: dict[str, torch.Tensor], message: str) -> None:
    """The state is refused with `message`, and nothing of it was taken over."""
    before = {name: tensor.clone() for name, tensor in target.trainable_state_dict().items()}
    with pytest.raises(CheckpointMismatchError, match=message) as caught:
        target.load_trainable_state_dict(state)
    assert "\n" not in str(caught.value)
    after = target.trainable_state_dict()
    assert [name for name, tensor in before.items() if not torch.equal(tensor, after[name])] == []


def test_a_missing_tensor_is_refused(source: FaceLanguageModel, target: FaceLanguageModel) -> None:
    state = source.trainable_state_dict()
    del state[B]
    refuse(target, state, rf"lacks 1 tensors of the model \(first: {B}\)")


def test_an_unexpected_tensor_is_refused(source: FaceLanguageModel, target: FaceLanguageModel) -> None:
    state = source.trainable_state_dict()
    refuse(
        target, state | {"vision.model.a": state[B]}, r"has 1 that the model does not train \(first: vision"
    )


def test_another_shape_is_refused_with_both_shapes(
    source: FaceLanguageModel, target: FaceLanguageModel
) -> None:
    state = source.trainable_state_dict()
    refuse(
        target,
        state | {B: torch.zeros(WIDTH, 8)},
        rf"tensor {B} is \[32, 8\] in the checkpoint and \[32, 4\]",
    )


def test_another_projector_is_refused(backbone: Backbone, target: FaceLanguageModel) -> None:
    mlp = build_model(backbone, "mlp").trainable_state_dict()
    refuse(target, mlp, r"lacks 2 .*\(first: projector.bias\) and has 4 .*\(first: projector.linear_1.bias\)")
