"""An adapter on the vision encoder: off unless asked for; then trained, kept, merged, and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from aullava.cli import main
from aullava.models.adapters import ADAPTERS, add_lora
from aullava.models.errors import ModelError
from aullava.models.vision import load_vision
from aullava.models.vlm import FaceLanguageModel
from aullava.training.checkpoint import read_weights
from aullava.training.run_folder import known_result
from datamodules.action_units import Scale
from tests.checkpoints import Backbone, build_collator, build_model, faces, run, trained
from tests.export.helpers import Parts, exported
from tests.model_folders import write_encoder, write_family
from tests.models.test_must_hold import checksum
from tests.tiny_runs import DEMO, small

TARGETS = ["q_proj", "v_proj", "fc1"]
PIXELS = torch.linspace(-1, 1, 2 * 3 * 48 * 48).view(2, 3, 48, 48)


def adapted(backbone: Backbone, kind: str = "lora", dropout: float = 0.0) -> FaceLanguageModel:
    model = build_model(backbone, dtype=torch.float32)
    tower: Any = model.vision.model
    model.vision.model = add_lora(tower, 4, 8, dropout, TARGETS, kind, "adapter.vision_targets")
    return model


@pytest.mark.parametrize("kind", ADAPTERS)
def test_it_begins_as_the_frozen_encoder_and_can_be_left_out(backbone: Backbone, kind: str) -> None:
    wanted = build_model(backbone).vision(PIXELS)
    vision = adapted(backbone, kind).vision
    torch.testing.assert_close(vision(PIXELS), wanted, rtol=0, atol=1e-5)
    for name, tensor in vision.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(tensor)
    assert not torch.allclose(vision(PIXELS), wanted, atol=0.1)
    with vision.frozen():
        assert torch.equal(vision(PIXELS), wanted)


def test_gradients_reach_it_and_nothing_frozen_moves(backbone: Backbone) -> None:
    model = adapted(backbone).train()
    before = checksum(model)
    batch = build_collator(backbone)(faces(2, "AU1 AU12", Scale.PRESENCE))
    trainable = {name: one for name, one in model.named_parameters() if one.requires_grad}
    own = {name: one for name, one in trainable.items() if name.startswith("vision.")}
    start = {name: one.detach().clone() for name, one in own.items()}
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-2)
    for step in range(3):
        optimizer.zero_grad()
        loss = run(model, batch).loss
        assert loss is not None
        loss.backward()  # type: ignore[no-untyped-call]
        if step == 0:
            grads = {name: one.grad for name, one in own.items() if "lora_B" in name}
            assert len(grads) == len(own) // 2 > 0
            assert all(grad is not None and bool(grad.any()) for grad in grads.values())
        optimizer.step()
    assert checksum(model) == before
    assert not any(torch.equal(start[name], one) for name, one in own.items())
    assert {one.dtype for one in own.values()} == {torch.float32}


def test_without_it_the_encoder_has_no_gradient_at_all(backbone: Backbone) -> None:
    vision = build_model(backbone).train().vision
    assert not vision(PIXELS).requires_grad
    assert not any(tensor.requires_grad for tensor in vision.parameters())


def test_only_its_own_dropout_follows_the_training_mode(backbone: Backbone) -> None:
    vision = adapted(backbone, dropout=0.5).train().vision
    dropping = {name for name, module in vision.named_modules() if module.training}
    assert dropping
    assert all("lora_dropout" in name for name in dropping)
    assert not any(module.training for module in vision.eval().modules())


def test_a_stage_may_add_it(backbone: Backbone) -> None:
    first, second = trained(build_model(backbone)), adapted(backbone)
    second.begin_with(first.trainable_state_dict())
    after = second.trainable_state_dict()
    assert all(torch.equal(after[name], one) for name, one in first.trainable_state_dict().items())
    with torch.no_grad():
        torch.testing.assert_close(second.vision(PIXELS), first.vision(PIXELS))


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_export_holds_it_in_the_tower_s_weights(kind: str, tmp_path: Path) -> None:
    write_encoder("clip", tmp_path / "vision")
    write_family("llama", tmp_path / "llm")
    parts = Parts(tmp_path / "vision", tmp_path / "llm", adapter=kind, vision_targets=("q_proj", "fc2"))
    found = exported(parts, tmp_path / "out").found
    assert (found.logits, found.agreed, found.equal) == (0, 9, 9)
    assert found.merging <= 1e-4
    assert found.complaint() is None


def test_an_unknown_target_is_refused(backbone: Backbone) -> None:
    said = r"adapter\.vision_targets: 'query' matches no layer of the CLIPVisionModel: did you mean"
    tower: Any = load_vision(backbone.vision).model
    with pytest.raises(ModelError, match=said):
        add_lora(tower, 4, 8, 0.0, ["query"], "lora", "adapter.vision_targets")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["adapter.kind=none"], "adapter.vision_targets needs an adapter, but adapter.kind is none"),
        (["strategy=fsdp2", "strategy.devices=2"], "adapter.vision_targets and strategy 'fsdp2' do not go"),
        (["--memory"], "--memory knows a frozen encoder only"),
    ],
)
def test_what_does_not_go_with_it_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", DEMO, "adapter.vision_targets=[q_proj]", *words]) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1


def test_a_run_with_it_comes_back_from_its_export(tmp_path: Path) -> None:
    data = ["data=synthetic_bp4d", "adapter.vision_targets=[q_proj,v_proj]", "text.definitions=false"]
    words = [*small(tmp_path, 2, ["synthetic_bp4d"]), "evaluation.baselines=false"]
    assert main(["fit", DEMO, *data, *words]) == 0
    one = tmp_path / "runs" / "demo" / "1"
    assert sum("vision." in name for name in read_weights(one)) == 2 * 2 * 4
    assert main(["export", str(one), "--to", str(tmp_path / "out"), "--verify", "2"]) == 0
    assert "of the vision encoder, on q_proj, v_proj" in (tmp_path / "out" / "README.md").read_text()
    assert main(["import", str(tmp_path / "out"), *words[:1], words[5]]) == 0
    scores = []
    for number in (1, 2):
        assert main(["test", str(tmp_path / "runs" / "demo" / str(number))]) == 0
        result = known_result(tmp_path / "runs" / "demo" / str(number))
        scores.append({name: value for name, value in result.items() if "test/" in name and "/f1/AU" in name})
    assert scores[0] == scores[1] != {}
