"""Compiled blocks learn the same, batches of another length included, and answers go past them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from aullava.cli import main
from aullava.config.schema import Config, TrainerConfig
from aullava.models.vlm import FaceLanguageModel
from aullava.training.compiled import compile_blocks
from aullava.training.errors import RunError
from aullava.training.strategies import refuse_machine
from datamodules.action_units import Scale
from tests.checkpoints import Backbone, build_collator, build_model, faces, run, trained, write_backbone
from tests.tiny_runs import DEMO


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return write_backbone(tmp_path_factory.mktemp("backbone"))


def gradients(model: FaceLanguageModel, batch: Any) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss = run(model.train(), batch).loss
    assert loss is not None
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}


def test_compiled_blocks_give_the_same_gradients(backbone: Backbone) -> None:
    """By the compiler's own front, which captures and differentiates; what then writes C++ takes a minute."""
    plain, other = (build_model(backbone, targets=["q_proj"]) for _ in range(2))
    trained(plain).reads_once = False
    other.load_trainable_state_dict(plain.trainable_state_dict())
    graphs: list[int] = []

    def counting(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        graphs.append(len(graph.graph.nodes))
        return graph.forward

    names = list(other.state_dict())
    compile_blocks(other, counting)  # type: ignore[arg-type]  # a function is a backend too
    assert list(other.state_dict()) == names
    collator = build_collator(backbone)
    for aus in ("AU1 AU12", "AU1", "AU4 AU6 AU9"):
        batch = collator(faces(2, aus, Scale.PRESENCE))
        wanted, found = gradients(plain, batch), gradients(other, batch)
        assert wanted.keys() == found.keys()
        for name in wanted:
            torch.testing.assert_close(found[name], wanted[name], rtol=1e-5, atol=1e-6)
    assert len(graphs) == 1  # of all blocks and all lengths
    with torch.no_grad():
        assert torch.equal(run(other.eval(), batch).logits, run(plain.eval(), batch).logits)
    assert len(graphs) == 1


@pytest.mark.parametrize(
    "words",
    [["strategy=fsdp2", "strategy.devices=2"], ["llm.quantization=nf4"], ["llm.attention=flex_attention"]],
)
def test_what_was_never_tried_with_it_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", DEMO, "trainer.compile=true", *words]) == 2
    assert "do not go together: write trainer.compile=false" in capsys.readouterr().err


def test_a_machine_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(trainer=TrainerConfig(max_steps=1, compile=True))
    monkeypatch.setattr("aullava.training.strategies.CUDAAccelerator.is_available", lambda: False)
    monkeypatch.setattr("aullava.training.strategies.shutil.which", lambda name: None)
    with pytest.raises(RunError, match=r"needs a C\+\+ compiler \(.*\), and here is none: write false"):
        refuse_machine(config)
    monkeypatch.setattr("aullava.training.strategies.CUDAAccelerator.is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("aullava.training.strategies.find_spec", lambda name: None)
    with pytest.raises(RunError, match="needs triton on a GPU"):
        refuse_machine(config)
