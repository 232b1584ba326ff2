"""`aullava export` and `aullava import`, as a user runs them, and the six lines of the README."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from aullava.cli import main
from aullava.export.merge import merged
from aullava.models.vlm import FaceLanguageModel
from aullava.training.checkpoint import WEIGHTS
from datamodules.drawn_faces.scene import draw_face
from tests.model_folders import write_llava
from tests.source_tree import REPOSITORY
from tests.tiny_runs import DEMO, contents, small


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the run runs/demo/1, its export `my_model` and a picture."""
    path = tmp_path_factory.mktemp("export")
    assert main(["fit", DEMO, *small(path, 3)]) == 0
    Image.fromarray(draw_face(0, 9, 1, 96)[0]).save(path / "face.png")
    assert main(["export", str(path / "runs" / "demo" / "1"), "--to", str(path / "my_model")]) == 0
    return path


def said(run: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What a run answers about the picture, in each format."""
    capsys.readouterr()
    assert main(["predict", str(run), str(home / "face.png")]) == 0
    return [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()[1:]]


def test_a_verified_export_prints_its_figures(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = home / "checked"
    words = ["export", str(home / "runs" / "demo" / "1"), "--to", str(out)]
    assert main([*words, "--verify", "2", "--dtype", "bf16"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"max \|logit difference\|, folder - merged model +0\n", printed)
    assert re.search(r"equal answers +6 of 6\n", printed)
    assert "canary: tuned - base, folder - base" in printed
    assert {tensor.dtype for tensor in load_file(out / "model.safetensors").values()} == {torch.bfloat16}
    assert printed.splitlines()[0] in (out / "README.md").read_text()


def test_the_folder_says_nothing_of_this_machine(home: Path) -> None:
    for name, content in contents(home / "my_model").items():
        if not name.endswith(".safetensors"):
            assert str(home).encode() not in content, name
            assert str(REPOSITORY).encode() not in content, name


def test_the_six_lines_of_the_readme(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are executed as they stand there; a folder trained for so short answers as freely as our own."""
    readme = (REPOSITORY / "README.md").read_text()
    code = re.search(r"```python\nimport json\n(from transformers.*?)```", readme, re.S)
    assert code is not None
    monkeypatch.chdir(home)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code[1], "README.md", "exec"), {"json": json})  # noqa: S102 - our own file
    assert sum(bool(line.strip()) for line in code[1].splitlines()) == 6
    assert printed.getvalue().strip()


def test_an_import_answers_as_the_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"data.datasets.synthetic_bp4d.root={home / 'faces'}", f"runs_dir={home / 'imported'}"]
    assert main(["import", str(home / "my_model"), *words]) == 0
    run = home / "imported" / "demo" / "1"
    assert said(run, home, capsys) == said(home / "runs" / "demo" / "1", home, capsys)
    before, after = (load_file(one / WEIGHTS) for one in (home / "runs" / "demo" / "1", run))
    assert set(after) == {"projector.weight", "projector.bias"}
    assert all(torch.equal(after[name], before[name]) for name in after)


def adapter_on(folder: Path, out: Path, base: str) -> Any:
    """A PEFT adapter on the language model of a LLaVA, saved as PEFT does; returns the adapted model."""
    auto: Any = AutoModelForImageTextToText
    targets = r".*language_model.*\.(q_proj|up_proj)"
    config = LoraConfig(r=4, lora_alpha=8, target_modules=targets)
    model: Any = get_peft_model(auto.from_pretrained(folder), config)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "lora_B" in name:
                tensor.normal_(std=0.1)
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(out)
    return model.eval()


LLAVA = ["text.definitions=false", "data=synthetic_bp4d"]


def test_a_llava_with_an_adapter_becomes_a_run(home: Path, tmp_path: Path) -> None:
    from aullava.build import build_model
    from aullava.config.load import resolve
    from aullava.training.checkpoint import load_weights
    from aullava.vocabulary import vocabulary

    write_llava(tmp_path / "tiny-llava")
    theirs = adapter_on(tmp_path / "tiny-llava", tmp_path / "adapter", "someone/tiny-llava")
    words = ["--adapter", str(tmp_path / "adapter"), "--experiment", DEMO, f"runs_dir={tmp_path}", *LLAVA]
    assert main(["import", str(tmp_path / "tiny-llava"), *words]) == 0
    run = tmp_path / "demo" / "1"
    model = build_model(resolve(run / "config.yaml", (), vocabulary()).config).eval()
    load_weights(model, run)
    ids = torch.randint(5, 60, (2, 40))
    image_id = theirs.config.image_token_id
    ids[:, 3 : 3 + model.vision.num_tokens] = image_id
    pixels = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        wanted = theirs(input_ids=ids, pixel_values=pixels, attention_mask=torch.ones_like(ids)).logits
        ours = model(pixels, ids, ids == image_id, torch.ones_like(ids)).logits
    torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-4)


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(words) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line


def test_adapters_that_do_not_fit_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_llava(tmp_path / "tiny-llava")
    folder = tmp_path / "adapter"
    adapter_on(tmp_path / "tiny-llava", folder, "someone/tiny-llava")
    words = ["import", str(tmp_path / "tiny-llava"), "--adapter", str(folder), "--experiment", DEMO]
    words += [f"runs_dir={tmp_path / 'runs'}", *LLAVA]
    config = json.loads((folder / "adapter_config.json").read_text())

    def with_config(**changes: Any) -> str:
        (folder / "adapter_config.json").write_text(json.dumps(config | changes))
        return refused(words, capsys)

    said = with_config(base_model_name_or_path="llava-hf/llava-1.5-7b-hf")
    assert "was trained on 'llava-hf/llava-1.5-7b-hf', but the base is" in said
    assert "holds a IA3 adapter, but only LORA is read" in with_config(peft_type="IA3")
    assert "sets rank_pattern, which no adapter.* key" in with_config(rank_pattern={"q_proj": 2})
    assert "tensor llm." in with_config(r=2)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "adapter_model.safetensors")
    name = next(iter(tensors))
    spoilt = {name.replace("language_model", "vision_tower"): tensors[name].clone(), **tensors}
    save_file(spoilt, folder / "adapter_model.safetensors")
    assert "which is no linear layer of the language model" in refused(words, capsys)
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04")
    assert "has no adapter_model.safetensors" in refused(words, capsys)
    assert not (tmp_path / "runs").exists()


def test_wrong_words_are_refused(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(home / "runs" / "demo" / "1")
    assert "my_model is there already" in refused(["export", run, "--to", str(home / "my_model")], capsys)
    assert "is not the folder of a run" in refused(["export", str(tmp_path), "--to", "x"], capsys)
    images = ["--images", str(home / "face.png")]
    assert "--verify N must say how many" in refused(["export", run, "--to", "x", *images], capsys)
    write_llava(tmp_path / "llava")
    said = refused(["import", str(tmp_path / "llava")], capsys)
    assert "it has no aullava.yaml): say with --experiment" in said
    assert "llm.init_from is '/no/such'" in refused(["import", "/no/such"], capsys)
    words = ["--experiment", DEMO, "projector.kind=linear", f"runs_dir={tmp_path / 'runs'}", *LLAVA]
    said = refused(["import", str(tmp_path / "llava"), *words], capsys)
    assert "projector.kind is linear, but the projector of" in said
    assert said.endswith("write projector.kind=mlp\n")
    assert not (tmp_path / "runs").exists()


def test_a_checkpoint_of_a_fit_is_small(home: Path) -> None:
    """Weights and both moments of the optimiser: 12 bytes for each trained number, and a little around it."""
    run = home / "runs" / "demo" / "1"
    trained = sum(tensor.numel() for tensor in load_file(run / WEIGHTS).values())
    sizes = [path.stat().st_size for path in (run / "checkpoints").iterdir()]
    assert len(sizes) >= 2
    assert max(sizes) > 12 * trained
    assert all(size <= 16 * trained + 2**20 for size in sizes)


def test_a_folder_that_is_not_the_run_is_not_left_behind(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_adapter(model: FaceLanguageModel, dtype: torch.dtype) -> FaceLanguageModel:
        llm: Any = model.llm
        return merged(FaceLanguageModel(model.vision, model.projector, llm.unload()), dtype)

    monkeypatch.setattr("aullava.export.folder.merged", without_adapter)
    words = ["export", str(home / "runs" / "demo" / "1"), "--to", str(tmp_path / "out")]
    words += ["--verify", "1", "--images", str(home / "face.png")]
    assert f"{tmp_path / 'out'} was not written: merging moved the logits by" in refused(words, capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_thousand_faces_are_answered_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three digits for each of six Action Units; every token that the folder writes is the merged model's."""
    words = small(tmp_path, 10, ["synthetic_feafa"])
    words.append("data.datasets.synthetic_feafa.aus=[AU43L,AU4R,AU12L,AU26,AU9,AD34]")
    words = [word.replace("test_faces_per_person=3", "test_faces_per_person=1000") for word in words]
    words += ["data=synthetic_feafa", "data.batch_size=8", "trainer.val_samples=2", "text.definitions=false"]
    assert main(["fit", DEMO, *words]) == 0
    for dtype in ("fp32", "bf16"):
        out = ["--to", str(tmp_path / dtype), "--dtype", dtype, "--verify", "1000"]
        assert main(["export", str(tmp_path / "runs" / "demo" / "1"), *out]) == 0
        printed = capsys.readouterr().out
        assert re.search(r"max \|logit difference\|, folder - merged model +0\n", printed)
        assert re.search(r"equal answers +1000 of 1000\n", printed)
        assert re.search(r"written by its generate\(\) alike +16 of 16\n", printed)
