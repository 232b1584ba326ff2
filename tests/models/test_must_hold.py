"""What must hold of every training: gradients everywhere, frozen stays frozen, small strict checkpoints."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from aullava.models.adapters import ADAPTERS
from aullava.models.vlm import FaceLanguageModel
from datamodules.action_units import Scale
from tests.checkpoints import Backbone, build_collator, build_model, faces, run
from tests.export.helpers import Parts, build
from tests.model_folders import write_encoder, write_family


def checksum(model: FaceLanguageModel) -> str:
    """Of everything frozen: weights and buffers."""
    digest = hashlib.sha256()
    trained = model.trainable_state_dict()
    for name, tensor in model.state_dict().items():
        if name not in trained:
            digest.update(name.encode() + tensor.float().numpy().tobytes())
    return digest.hexdigest()


def test_after_one_step_every_trained_tensor_has_a_gradient(backbone: Backbone) -> None:
    """LoRA's A gets none before B has left zero; B and the projector get theirs at once."""
    model = build_model(backbone).train()
    batch = build_collator(backbone)(faces(4, "AU1 AU12", Scale.LEVEL))
    loss = run(model, batch).loss
    assert loss is not None
    loss.backward()  # type: ignore[no-untyped-call]
    trained = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
    wanted = [name for name in trained if "lora_B" in name or name.startswith("projector.")]
    assert len(wanted) == len(trained) // 2 + 1  # all but the A of each pair, and both of the projector
    without = [name for name in wanted if (grad := trained[name].grad) is None or not bool(grad.any())]
    assert without == []


def test_after_a_hundred_steps_what_is_frozen_is_as_it_was(backbone: Backbone) -> None:
    model = build_model(backbone).train()
    before = checksum(model)
    start = {name: tensor.clone() for name, tensor in model.trainable_state_dict().items()}
    batch = build_collator(backbone)(faces(2, "AU1 AU12", Scale.PRESENCE))
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        loss = run(model, batch).loss
        assert loss is not None
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert checksum(model) == before
    assert not any(torch.equal(start[name], now) for name, now in model.trainable_state_dict().items())


@pytest.mark.parametrize("adapter", [*ADAPTERS, "none"])
@pytest.mark.parametrize("projector", ["linear", "mlp"])
def test_a_checkpoint_is_small_and_loads_strictly(projector: str, adapter: str, tmp_path: Path) -> None:
    write_encoder("clip", tmp_path / "vision")
    write_family("llama", tmp_path / "llm")
    parts = Parts(tmp_path / "vision", tmp_path / "llm", projector, adapter)
    model = build(parts)
    save_file(model.trainable_state_dict(), tmp_path / "last.safetensors")
    count = sum(tensor.numel() for tensor in model.trainable_state_dict().values())
    assert (tmp_path / "last.safetensors").stat().st_size <= 16 * count + 2**20
    again = build(parts)
    with torch.no_grad():
        for tensor in again.parameters():
            if tensor.requires_grad:
                tensor.zero_()
    read = load_file(tmp_path / "last.safetensors")
    assert set(read) == set(again.trainable_state_dict())  # none missing, none unexpected
    again.load_trainable_state_dict(read)
    pairs = zip(model.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
