"""Features of training faces kept on disk: the same steps as without, shared, and never read wrongly."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from aullava import kept_features
from aullava.cli import main
from aullava.config.load import resolve
from aullava.features import FaceFeatures
from aullava.kept_features import open_features
from aullava.models.vision import VisionEncoder
from aullava.parts import Parts, fresh_parts
from aullava.training.processes import Processes
from aullava.vocabulary import vocabulary
from datamodules.loaders import draw_loader
from tests.tiny_runs import small

FORMATS = "data.datasets.synthetic_disfa.formats=[presence,level]"


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A config beside which the faces lie that all tests share."""
    home = tmp_path_factory.mktemp("home")
    lines = ["extends: [base, data/synthetic_bp4d, data/synthetic_disfa, model/tiny]", "experiment: demo"]
    lines += ["projector: {align: false}", "data:", "  flip: 0", "  datasets:"]
    lines += [f"    synthetic_{name}: {{root: {home / 'faces'}}}" for name in ("bp4d", "disfa")]
    (home / "two.yaml").write_text("\n".join(lines) + "\n")
    return str(home / "two.yaml")


def _words(home: Path, *more: str) -> list[str]:
    words = small(home, 3, ["synthetic_bp4d", "synthetic_disfa"])
    words = [word for word in words if not word.endswith(f".root={home / 'faces'}")]
    return [*words, FORMATS, f"vision.cache_dir={home / 'kept'}", *more]


def _parts(experiment: str, words: Sequence[str]) -> Parts:
    return fresh_parts(resolve(experiment, words, vocabulary()).config, Processes())


def _batches(parts: Parts, count: int) -> list[Any]:
    data = parts.data
    rows = [one.dataset.rows("train") for one in data.drawn]
    drawn = draw_loader(data.drawn, rows, data.shares(), data.loading, parts.module.collator)
    return [batch for batch, _ in zip(drawn, range(count), strict=False)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_kept_features_are_those_of_the_encoder(dtype: str, experiment: str, tmp_path: Path) -> None:
    parts = _parts(experiment, _words(tmp_path, f"vision.dtype={dtype}"))
    assert parts.module.kept is not None
    files = sorted((tmp_path / "kept").iterdir())
    assert [path.name.split("-")[0] for path in files] == ["synthetic_bp4d", "synthetic_disfa"]
    formats = 0
    for batch in _batches(parts, 4):
        kept = parts.module.kept.of(batch)
        assert str(kept.dtype) == f"torch.{dtype}"
        by = 1e-6 if dtype == "float32" else 1e-2  # batches of another size add up in another order
        torch.testing.assert_close(kept, parts.module.model.vision(batch.pixel_values), rtol=by, atol=by)
        formats = max(formats, len(set(batch.scales)))
    assert formats == 2  # faces that are asked twice are found once


def test_a_fit_learns_the_same_and_encodes_no_training_face(
    experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    forward = VisionEncoder.forward

    def watched(encoder: VisionEncoder, pixel_values: Tensor) -> Tensor:
        seen.append(len(pixel_values))
        return forward(encoder, pixel_values)

    monkeypatch.setattr(VisionEncoder, "forward", watched)
    words = _words(tmp_path, "trainer.precision=bf16-mixed", "trainer.val_samples=1")
    calls = []
    for more in (["vision.cache_dir=null"], [], []):
        seen.clear()
        assert main(["fit", experiment, *words, *more]) == 0
        calls.append(len(seen))
    assert calls[0] - calls[2] == 3  # steps; what is left are the validation's
    files = [tmp_path / "runs" / "demo" / number / "checkpoints" / "last.safetensors" for number in "123"]
    runs = [load_file(path) for path in files]
    for name, wanted in runs[0].items():
        torch.testing.assert_close(runs[1][name], wanted, rtol=1e-5, atol=1e-6)
        assert torch.equal(runs[1][name], runs[2][name])


def test_what_decides_the_features_decides_the_file(experiment: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"

    def names(*words: str) -> set[str]:
        before = set(kept.iterdir()) if kept.exists() else set()
        _parts(experiment, _words(tmp_path, *words))
        return {path.name for path in set(kept.iterdir()) - before}

    assert len(names()) == 2
    assert names() == set()  # found again
    assert len(names("vision.layers=[-2]", "vision.dtype=bfloat16")) == 2
    assert len(names("trainer.precision=bf16-mixed")) == 2
    assert len(names("data.datasets.synthetic_disfa.options.faces_per_person=3")) == 1
    (largest,) = sorted(kept.iterdir(), key=lambda path: path.stat().st_size)[-1:]
    content = largest.read_bytes()
    for path in kept.iterdir():  # cut short by a full disk of long ago
        path.write_bytes(path.read_bytes()[:-1])
    words = ["data.datasets.synthetic_disfa.options.faces_per_person=3"]
    assert names(*words) == set()
    assert largest.read_bytes() == content


def test_faces_that_are_mirrored_are_not_kept_and_it_says_so(
    experiment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = _parts(experiment, _words(tmp_path, "data.flip=0.5"))
    assert parts.module.kept is None
    assert not (tmp_path / "kept").exists()
    assert "vision.cache_dir is not used: data.flip=0.5 mirrors faces" in capsys.readouterr().out


def test_an_encoding_that_is_interrupted_leaves_nothing(
    experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        yield torch.zeros(1, 1, 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(kept_features, "_encoded", broken)
    with pytest.raises(KeyboardInterrupt):
        _parts(experiment, _words(tmp_path))
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.parametrize("why", ["File exists", "No space left on device"])
def test_a_place_that_takes_nothing_is_named_before_anything_is_encoded(
    why: str,
    experiment: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if why == "File exists":
        (tmp_path / "kept").write_text("a file")
    else:

        def full(*_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "posix_fallocate", full)

    def never(*_: Any) -> Any:
        pytest.fail("a face is encoded")

    monkeypatch.setattr(FaceFeatures, "encoded", never)
    words = [word for word in _words(tmp_path) if word != FORMATS]
    assert main(["fit", experiment, *words]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"aullava: vision.cache_dir: {tmp_path / 'kept'}/synthetic_bp4d-")
    assert said.endswith(f"({why}): make room, name another folder, or write vision.cache_dir=null")
    assert not (tmp_path / "runs").exists()
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith((".tmp", ".features"))]


def test_a_mapped_file_is_read_where_it_is_looked_at(tmp_path: Path) -> None:
    shape, path = (5, 3, 2), tmp_path / "some.features"
    wanted = torch.arange(30, dtype=torch.bfloat16).view(shape)
    kept_features.write_features(path, shape, torch.bfloat16, [wanted[:2], wanted[2:]])
    assert path.stat().st_size == 60
    mapped = open_features(path, shape, torch.bfloat16)
    assert torch.equal(mapped, wanted)
    mapped[0] = 7  # a private page: the file stays as it is
    assert torch.equal(open_features(path, shape, torch.bfloat16), wanted)
