"""What a comparison refuses, and the bugs of other people's exports that it finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from aullava.export import folder as folder_module
from aullava.export.errors import ExportError
from aullava.export.merge import merged
from aullava.export.verify import Verification
from aullava.models.vlm import FaceLanguageModel
from tests.export.helpers import Outcome, Parts, exported
from tests.model_folders import write_encoder, write_family

GOOD = Verification(
    dtype=torch.float32,
    images=50,
    answers=150,
    agreed=150,
    generated=48,
    equal=48,
    valid=48,
    logits=0.0,
    merging=1e-5,
    tuned=5.0,
    untuned=5.0,
    pixels=2e-7,
)


def test_a_faithful_folder_is_not_complained_of() -> None:
    assert GOOD.complaint() is None
    assert replace(GOOD, tuned=None, untuned=None).complaint() is None
    assert replace(GOOD, dtype=torch.bfloat16, merging=0.2).complaint() is None
    assert len({line[:48] for line in GOOD.lines()}) == 8


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"logits": 2e-4}, "its logits are 0.0002 away from the merged model's, 0.0001 are allowed"),
        ({"logits": float("nan")}, "its logits are nan away"),
        ({"merging": 0.2}, "merging moved the logits by 0.2"),
        ({"agreed": 149}, "1 of 150 answers differ"),
        ({"dtype": torch.bfloat16, "agreed": 149}, "1 of 150 answers differ"),
        ({"equal": 46}, "2 of 48 answers of its generate() differ"),
        ({"tuned": 0.0, "untuned": 0.0}, "the adapter changes no logit"),
        ({"untuned": 0.1}, "it answers as the base model does, not as the tuned one"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    complaint = replace(GOOD, **changes).complaint()
    assert complaint is not None
    assert complaint.startswith(said)


def spoilt(home: Path, patch: pytest.MonkeyPatch, spoil: Any) -> Outcome:
    """An export in which `spoil` stands for the merging."""
    write_encoder("clip", home / "vision")
    write_family("llama", home / "llm")
    patch.setattr(folder_module, "merged", spoil)
    return exported(Parts(home / "vision", home / "llm"), home / "out")


def test_a_lost_adapter_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_adapter(model: FaceLanguageModel, dtype: torch.dtype) -> FaceLanguageModel:
        llm: Any = model.llm
        return merged(FaceLanguageModel(model.vision, model.projector, llm.unload()), dtype)

    found = spoilt(tmp_path, monkeypatch, without_adapter).found
    assert found.logits == 0  # the folder is its model; that model is not the trained one
    assert found.untuned is not None
    assert found.untuned < 1e-3
    assert (found.complaint() or "").startswith("merging moved the logits")
    half = replace(found, dtype=torch.bfloat16).complaint()
    assert half == "it answers as the base model does, not as the tuned one: the adapter is lost"


def test_a_lost_projector_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh_projector(model: FaceLanguageModel, dtype: torch.dtype) -> FaceLanguageModel:
        done = merged(model, dtype)
        torch.nn.init.normal_(next(done.projector.parameters()), std=0.3)
        return done

    found = spoilt(tmp_path, monkeypatch, fresh_projector).found
    assert (found.complaint() or "").startswith("merging moved the logits")


def test_a_head_that_does_more_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scaled(model: FaceLanguageModel, dtype: torch.dtype) -> FaceLanguageModel:
        done = merged(model, dtype)
        done.llm.register_forward_hook(lambda module, inputs, output: _halved(output))
        return done

    def _halved(output: Any) -> Any:
        output.logits = output.logits / 2
        return output

    with pytest.raises(ExportError, match=r"computes other logits \(.* apart\)"):
        spoilt(tmp_path, monkeypatch, scaled)
