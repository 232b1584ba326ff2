"""`python -m aullava.tiny_backbone`, from drawn faces to folders that load, in as few steps as can be."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aullava.models.adapters import add_lora
from aullava.models.llm import load_llm, load_tokenizer
from aullava.models.projector import build_projector
from aullava.models.vision import load_preprocessor, load_vision
from aullava.models.vlm import FaceLanguageModel
from aullava.tiny_backbone import __main__ as recipe
from aullava.tiny_backbone.encoder import EncoderRecipe, Lessons
from datamodules.drawn_faces.scene import draw_face
from tests.source_tree import REPOSITORY


def test_the_recipe_writes_a_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "OTHER_PEOPLE", 2)
    monkeypatch.setattr(recipe, "FACES_EACH", 3)
    words = ["--out", str(tmp_path / "tiny"), "--faces", str(tmp_path / "faces"), "--steps", "2", "2"]
    monkeypatch.setattr(sys, "argv", ["recipe", *words])
    recipe.main()

    assert len(list((tmp_path / "faces").iterdir())) == 1  # the faces, and no temporary file
    vision = load_vision(str(tmp_path / "tiny" / "vision"), -1)
    llm = load_llm(str(tmp_path / "tiny" / "llm"))
    projector = build_projector("linear", vision.dim, llm.config.hidden_size)
    model = FaceLanguageModel(vision, projector, add_lora(llm, 4, 8, 0.0, ["q_proj"]))
    pixels = load_preprocessor(str(tmp_path / "tiny" / "vision"))([draw_face(0, 0, 0, 96)[0]])
    assert model.encode_images(pixels).shape == (1, 64, llm.config.hidden_size)
    assert len(load_tokenizer(str(tmp_path / "tiny" / "llm"))) == llm.config.vocab_size


def test_a_part_of_the_recipe_goes_on_with_an_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recipe, "OTHER_PEOPLE", 2)
    monkeypatch.setattr(recipe, "FACES_EACH", 3)
    short = replace(EncoderRecipe(), cycles=(Lessons(1, 1e-3), Lessons(1, 1e-9)))
    monkeypatch.setattr(recipe, "EncoderRecipe", lambda: short)
    before = REPOSITORY / "aullava" / "models" / "tiny" / "vision"
    words = ["--out", str(tmp_path / "tiny"), "--faces", str(tmp_path / "faces"), "--vision", str(before)]
    monkeypatch.setattr(sys, "argv", ["recipe", *words, "--cycles", "2"])
    recipe.main()

    assert [path.name for path in (tmp_path / "tiny").iterdir()] == ["vision"]
    found, wanted = (load_file(one / "model.safetensors") for one in (tmp_path / "tiny" / "vision", before))
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():  # at such a learning rate one step changes nothing that halves show
        assert torch.allclose(found[name].float(), tensor.float(), atol=1e-4), name

    monkeypatch.setattr(sys, "argv", ["recipe", *words, "--cycles", "3"])
    with pytest.raises(SystemExit, match="2"):
        recipe.main()
    assert "the encoder has the cycles 1 to 2" in capsys.readouterr().err


MEAN = """
import torch
from torch import distributed as dist, nn
from aullava.training.processes import mean_gradients

dist.init_process_group("gloo")
model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
model[0].weight.grad = torch.arange(4.0).view(2, 2) * (1 + 2 * dist.get_rank())
model[1].bias.grad = torch.tensor([10.0 * dist.get_rank()])
mean_gradients(model)
assert model[0].weight.grad.tolist() == [[0, 2], [4, 6]], model[0].weight.grad
assert model[1].bias.grad.tolist() == [5], model[1].bias.grad
assert model[1].weight.grad is None
"""


def test_two_processes_learn_from_the_mean_of_their_gradients(tmp_path: Path) -> None:
    script = tmp_path / "mean.py"
    script.write_text(MEAN)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_processes_write_one_backbone(tmp_path: Path) -> None:
    """Real processes: the faces are drawn once, and what both learned is written once."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = tmp_path / "recipe.py"
    script.write_text(
        "from aullava.tiny_backbone import __main__ as recipe\n"
        "recipe.OTHER_PEOPLE, recipe.FACES_EACH = 2, 40\n"
        "if __name__ == '__main__':\n    recipe.main()\n"
    )
    words = ["--out", str(tmp_path / "tiny"), "--faces", str(tmp_path / "faces"), "--steps", "2", "2"]
    done = subprocess.run([*torchrun, str(script), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "faces").iterdir())) == 1
    assert load_vision(str(tmp_path / "tiny" / "vision"), -1).num_tokens == 64
    assert load_llm(str(tmp_path / "tiny" / "llm")).config.vocab_size > 0
