"""`python -m aullava.tiny_backbone`, from drawn faces to folders that load, in as few steps as can be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aullava.models.adapters import add_lora
from aullava.models.llm import load_llm, load_tokenizer
from aullava.models.projector import build_projector
from aullava.models.vision import load_preprocessor, load_vision
from aullava.models.vlm import FaceLanguageModel
from aullava.tiny_backbone import __main__ as recipe
from datamodules.drawn_faces.scene import draw_face


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
