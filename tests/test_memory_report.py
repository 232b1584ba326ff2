"""`aullava config FILE --memory` about models in folders: the tokens and weights are those of the models."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aullava.cli import main
from aullava.models.llava import split_llava
from aullava.models.vision import load_vision
from tests.model_folders import write_encoder, write_llava
from tests.tiny_runs import DEMO

WORDS = ["config", DEMO, "--memory", "text.definitions=false", "vision.layers=[-2]"]


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, float]]:
    """Image tokens, and the GiB of each row for one copy."""
    capsys.readouterr()
    assert main([*WORDS, *words]) == 0
    printed = capsys.readouterr().out
    tokens = re.search(r"tokens: (\d+) of the image", printed)
    assert tokens is not None
    rows = re.findall(r"^(.+?) {2,}(\d+\.\d+) +\d", printed, re.M)
    return int(tokens[1]), {name: float(size) for name, size in rows}


def test_a_llava_is_told_by_its_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_llava(tmp_path / "llava")
    parts = split_llava(str(tmp_path / "llava"), [-2], "patches", "mlp")
    words = [f"llm.init_from={tmp_path / 'llava'}", "vision.name=tiny", "projector.kind=mlp"]
    image, rows = told(words, capsys)
    assert image == parts.vision.num_tokens
    frozen = sum(one.nbytes for one in parts.llm.parameters()) / 2**30
    assert rows["language model, frozen"] == pytest.approx(frozen, abs=5e-4)


def test_the_image_is_as_large_as_its_processor_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A DINOv2 takes other sizes than the one it was trained on."""
    write_encoder("dinov2", tmp_path / "vision")
    image, _ = told([f"vision.name={tmp_path / 'vision'}"], capsys)
    assert image == load_vision(str(tmp_path / "vision"), -2).num_tokens


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("llm.quantization=nf4", "--memory knows no weights in 4 bits"),
        ("trainer.precision=bf16-true", "--memory knows trained weights in fp32 only"),
    ],
)
def test_what_is_not_known_is_refused(word: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, word]) == 2
    assert said in capsys.readouterr().err
