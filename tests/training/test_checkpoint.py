from __future__ import annotations

from pathlib import Path
from typing import Any, Never

import pytest
import torch
from safetensors.torch import load_file

from aullava.models.adapters import add_lora
from aullava.models.errors import CheckpointMismatchError
from aullava.models.llm import load_llm
from aullava.models.projector import build_projector
from aullava.models.vision import load_vision
from aullava.models.vlm import FaceLanguageModel
from aullava.training import checkpoint
from aullava.training.checkpoint import WEIGHTS, load_weights, save_weights
from aullava.training.errors import RunError
from tests.checkpoints import TARGETS, WIDTH, Backbone, build_model, trained


@pytest.fixture
def model(backbone: Backbone) -> FaceLanguageModel:
    return trained(build_model(backbone))


def _other_rank(backbone: Backbone) -> FaceLanguageModel:
    vision = load_vision(backbone.vision, -1)
    llm = add_lora(load_llm(backbone.llm), 8, 8, 0.0, TARGETS)
    return FaceLanguageModel(vision, build_projector("linear", vision.dim, WIDTH), llm)


def test_all_that_is_trained_is_saved_and_nothing_frozen(model: FaceLanguageModel, tmp_path: Path) -> None:
    path = save_weights(model.trainable_state_dict(), tmp_path)
    assert path == tmp_path / "checkpoints" / "last.safetensors"
    saved = load_file(path)
    wanted = {name for name, tensor in model.named_parameters() if tensor.requires_grad}
    assert set(saved) == wanted
    assert all("lora_" in name or name.startswith("projector.") for name in saved)
    assert all(tensor.dtype == torch.float32 for tensor in saved.values())


def test_what_is_loaded_is_what_was_saved(
    model: FaceLanguageModel, backbone: Backbone, tmp_path: Path
) -> None:
    save_weights(model.trainable_state_dict(), tmp_path)
    torch.manual_seed(99)
    other = build_model(backbone)
    mine, fresh = model.trainable_state_dict(), other.trainable_state_dict()
    assert any(not torch.equal(mine[name], fresh[name]) for name in mine)
    load_weights(other, tmp_path)
    assert all(torch.equal(mine[name], tensor) for name, tensor in other.trainable_state_dict().items())


def test_saving_again_replaces_the_weights(model: FaceLanguageModel, tmp_path: Path) -> None:
    before = load_file(save_weights(model.trainable_state_dict(), tmp_path))
    with torch.no_grad():
        next(model.projector.parameters()).add_(1.0)
    after = load_file(save_weights(model.trainable_state_dict(), tmp_path))
    assert not torch.equal(before["projector.weight"], after["projector.weight"])


def _fail(*_: Any, **__: Any) -> Never:
    raise OSError(28, "No space left on device")


def _half(state: dict[str, torch.Tensor], path: Path, about: dict[str, str] | None) -> Never:
    path.write_bytes(b"half")
    _fail()


@pytest.mark.parametrize(
    ("owner", "name", "broken"), [(checkpoint, "save_file", _half), (Path, "replace", _fail)]
)
@pytest.mark.parametrize("saved_before", [False, True])
def test_saving_that_is_interrupted_leaves_no_half_file(
    owner: Any,
    name: str,
    broken: Any,
    saved_before: bool,
    model: FaceLanguageModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = save_weights(model.trainable_state_dict(), tmp_path).read_bytes() if saved_before else b""
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, broken)
        with pytest.raises(RunError, match=r"no weights can be .*No space left.*saved before is whole"):
            save_weights(model.trainable_state_dict(), tmp_path)
    left = [path.name for path in (tmp_path / WEIGHTS).parent.iterdir()]
    assert left == ([WEIGHTS.name] if saved_before else [])
    if saved_before:
        assert (tmp_path / WEIGHTS).read_bytes() == before


def test_a_run_without_weights_is_refused(model: FaceLanguageModel, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"last\.safetensors does not exist: .* fit it again"):
        load_weights(model, tmp_path)


@pytest.mark.parametrize("damage", ["empty", "text", "cut"])
def test_damaged_weights_are_refused_in_one_line(
    damage: str, model: FaceLanguageModel, tmp_path: Path
) -> None:
    path = save_weights(model.trainable_state_dict(), tmp_path)
    whole = path.read_bytes()
    path.write_bytes(
        {"empty": b"", "text": b"these are no weights\n" * 9, "cut": whole[: len(whole) // 2]}[damage]
    )
    with pytest.raises(RunError, match=r"last\.safetensors is damaged .*: restore it") as caught:
        load_weights(model, tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_of_another_shape_change_nothing(
    model: FaceLanguageModel, backbone: Backbone, tmp_path: Path
) -> None:
    save_weights(model.trainable_state_dict(), tmp_path)
    other = _other_rank(backbone)
    before = {name: tensor.clone() for name, tensor in other.trainable_state_dict().items()}
    with pytest.raises(
        CheckpointMismatchError, match=r"tensor .*lora_A.* is \[4, .*\] in the checkpoint and \[8, "
    ):
        load_weights(other, tmp_path)
    after = other.trainable_state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_weights_of_other_parts_are_refused(
    model: FaceLanguageModel, backbone: Backbone, tmp_path: Path
) -> None:
    save_weights(model.trainable_state_dict(), tmp_path)
    with pytest.raises(CheckpointMismatchError, match=r"lacks 4 tensors .*projector.* and has 2 "):
        load_weights(build_model(backbone, kind="mlp"), tmp_path)
