"""Mistakes of a user with runs, weights, pictures and places: exit code 2, one line, nothing half-written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from aullava.cli import main
from datamodules.drawn_faces.scene import draw_face
from tests.source_tree import REPOSITORY
from tests.tiny_runs import DEMO, contents, small

ONE = "synthetic_bp4d"
WEIGHTS = "checkpoints/last.safetensors"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refused")


@pytest.fixture(scope="module")
def trained(home: Path) -> Path:
    """A run of one step on one dataset."""
    words = ["data=synthetic_bp4d", *small(home, 1, [ONE]), "trainer.val_samples=1"]
    assert main(["fit", DEMO, *words]) == 0
    return home / "runs" / "demo" / "1"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(trained, tmp_path / "runs" / "demo" / "1"))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "face.jpg"
    Image.fromarray(draw_face(0, 9, 1, 96)[0]).save(path)
    return path


def _refused(words: Sequence[str], kept: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence of a refusal, after checking that no file below `kept` came, went or changed."""
    before = contents(kept)
    capsys.readouterr()
    code = main(words)
    said = capsys.readouterr().err
    assert code == 2, said
    assert contents(kept) == before
    lines = [line for line in said.splitlines() if line.startswith("aullava: ")]
    assert len(lines) == 1
    assert said.rstrip("\n").splitlines()[-1] == lines[0]
    assert "Traceback" not in said
    return lines[0].removeprefix("aullava: ")


@pytest.mark.parametrize(
    ("formats", "said"),
    [
        ("levle", "there is no answer format 'levle', did you mean 'level'?"),
        ("level", "the run was not trained on the format 'level': ask for presence"),
    ],
)
def test_a_format_that_cannot_be_asked(
    formats: str,
    said: str,
    run: Path,
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["predict", str(run), str(picture), "--formats", formats, "--out", str(tmp_path / "out")]
    assert _refused(words, tmp_path, capsys) == said


def test_a_place_that_cannot_be_written_to(
    run: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _refused(["predict", str(run), str(picture), "--out", str(picture)], tmp_path, capsys)
    assert said.startswith(f"nothing can be written into {picture} ")


@pytest.mark.parametrize("verb", ["test", "predict"])
def test_a_run_without_weights(
    verb: str, run: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / WEIGHTS).unlink()
    words = [verb, str(run), *([str(picture)] if verb == "predict" else [])]
    assert f"{run / WEIGHTS} does not exist" in _refused(words, tmp_path, capsys)


def test_damaged_weights(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (run / WEIGHTS).read_bytes()
    (run / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    said = _refused(["validate", str(run)], tmp_path, capsys)
    assert said.startswith(f"{run / WEIGHTS} is damaged ")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "adapter.r=4",
            " in the model: build the model with the configuration the checkpoint was trained with",
        ),
        ("adapter.targets=[q_proj]", "that the model does not train"),
        (
            "projector.kind=mlp",
            "the checkpoint lacks 4 tensors of the model (first: projector.linear_1.bias)",
        ),
    ],
)
def test_weights_of_another_shape(
    override: str, said: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in _refused(["test", str(run), override], tmp_path, capsys)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (f"data.datasets.{ONE}.protocol=held_out", "did you mean 'held_out_people'?"),
        (f"data.datasets.{ONE}.fold=3", "fold 3"),
        (f"data.datasets.{ONE}.aus=[AU12,AU5]", "AU5"),
        ("data.datasets.folder={}", "folder"),
        ("data.datasets.folder={root: /nowhere/at/all}", "/nowhere/at/all"),
        ("llm.max_length=60", "60"),
        ("llm.name=/no/such/model", "/no/such/model"),
        ("vision.name=/no/such/model", "/no/such/model"),
        ("vision.layers=[-9]", "layer"),
        ("adapter.targets=[nowhere]", "nowhere"),
    ],
)
def test_a_fit_that_cannot_begin_leaves_no_run(
    override: str, said: str, home: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data=synthetic_bp4d", *small(home, 1, [ONE]), override]
    assert said in _refused(["fit", DEMO, *words], home, capsys)
    assert not (home / "runs" / "demo" / "2").exists()


def test_a_runs_dir_that_is_a_file(
    home: Path, trained: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data=synthetic_bp4d", *small(home, 1, [ONE]), f"runs_dir={picture}"]
    assert _refused(["fit", DEMO, *words], home, capsys).startswith(f"no run folder can be made in {picture}")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_picture_of_a_dataset_is_named_by_whoever_loads_it(
    workers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["image,subject,AU1,AU12"]
    for person in range(6):
        rows += [f"{person}.png,p{person},1,0", f"{person}_broken.png,p{person},0,1"]
        Image.fromarray(draw_face(0, person, 0, 48)[0]).save(tmp_path / f"{person}.png")
        (tmp_path / f"{person}_broken.png").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    experiment = tmp_path / "mine.yaml"
    experiment.write_text("extends: [base, model/tiny]\ndata: {batch_size: 6, datasets: {folder: }}\n")
    words = [f"data.datasets.folder.root={tmp_path}", f"runs_dir={tmp_path / 'runs'}", "trainer.max_steps=1"]
    assert main(["fit", str(experiment), *words, f"data.num_workers={workers}"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"aullava: image {tmp_path}/")
    assert "_broken.png" in said
    assert "Traceback" not in said
    assert list((tmp_path / "runs").rglob("*.safetensors")) == []


def test_a_result_that_is_no_json(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "result.json").write_text("{")
    assert "delete it and test again" in _refused(["validate", str(run)], tmp_path, capsys)


def test_in_a_process_of_its_own_it_is_one_line_and_nothing_else(run: Path, tmp_path: Path) -> None:
    before = contents(tmp_path)
    command = [sys.executable, "-m", "aullava", "test", str(run), "adapter.r=4"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("aullava: tensor ")
    assert ran.stderr.count("\n") == 1
    assert contents(tmp_path) == before
