"""`--profile` and trainer.find_batch_size through the command line, and batches larger than the data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aullava import batch_size
from aullava.cli import main
from aullava.config.load import resolve
from aullava.profiling import profile
from aullava.training.callbacks.profile import PARTS
from aullava.vocabulary import vocabulary
from tests.tiny_runs import DEMO, small

ONE = ["synthetic_bp4d"]


def _words(home: Path, *more: str) -> list[str]:
    return [DEMO, "data=synthetic_bp4d", *small(home, 1, ONE), "trainer.val_samples=1", *more]


def test_the_profile_says_where_the_time_goes_and_leaves_nothing(tmp_path: Path) -> None:
    experiment, *words = _words(tmp_path, "trainer.accumulate=2")
    table = profile(resolve(experiment, words, vocabulary()), steps=2)
    shares = {part: re.search(rf"^{part} +[\d.]+ +([\d.]+)%$", table, re.MULTILINE) for part in PARTS}
    assert sum(float(found[1]) for found in shares.values() if found) == pytest.approx(100, abs=0.5)
    assert re.search(r"^\d+\.\d images and \d+\.\d answers per second, over 2 steps$", table, re.MULTILINE)
    measured = re.search(
        r"^weights 0\.01 GiB, peak memory (\d+\.\d\d) GiB \(measured\); (0\.\d\d) GiB estimated for",
        table,
        re.MULTILINE,
    )
    assert measured
    assert 0 < float(measured[2]) < float(measured[1])  # Python and its libraries are in the first alone
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("fits", "batch"), [(99, 8), (5, 4), (1, 1)])
def test_the_batch_shrinks_and_the_step_keeps_its_images(
    fits: int, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The memory is that of a machine on which so many images fit; everything else is real."""
    monkeypatch.setattr(batch_size._Step, "peak", lambda step, size: 100.0 + size)
    monkeypatch.setattr(batch_size, "_budget", lambda device, sharing: 100.0 + fits)
    words = _words(tmp_path, "data.batch_size=4", "trainer.accumulate=2", "trainer.find_batch_size=true")
    assert main(["fit", *words]) == 0
    said = capsys.readouterr().out
    assert f"batches of {batch} images fit; {8 // batch} of them make up a step of 8" in said
    assert "\npeak memory of such a step: 0.00 GiB (measured); 0." in said
    saved = resolve(tmp_path / "runs" / "demo" / "1" / "config.yaml", (), vocabulary()).config
    assert (saved.data.batch_size, saved.trainer.accumulate) == (batch, 8 // batch)
    assert not saved.trainer.find_batch_size


@pytest.mark.parametrize("answer", ["false", "true"])
def test_memory_is_measured_and_nothing_else_changes(answer: str, tmp_path: Path) -> None:
    kind = f"answer.independent={answer}"
    words = [kind, "data.batch_size=2", "trainer.accumulate=2"]
    assert main(["fit", *_words(tmp_path, "trainer.find_batch_size=true", *words)]) == 0
    found = resolve(tmp_path / "runs" / "demo" / "1" / "config.yaml", (), vocabulary()).config
    assert found.data.batch_size * found.trainer.accumulate == 4
    assert found.data.batch_size == 4  # four drawn faces and a tiny model fit anywhere
    same = [
        kind,
        f"data.batch_size={found.data.batch_size}",
        f"trainer.accumulate={found.trainer.accumulate}",
    ]
    assert main(["fit", *_words(tmp_path, *same)]) == 0
    first, second = (tmp_path / "runs" / "demo" / name / "checkpoints" for name in ("1", "2"))
    weights = [(folder / "last.safetensors").read_bytes() for folder in (first, second)]
    assert weights[0] == weights[1]


def test_a_batch_larger_than_the_data_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *_words(tmp_path, "data.batch_size=9")]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "aullava: dataset 'synthetic_bp4d' has 8 training faces, fewer than data.batch_size 9: "
        "write at most data.batch_size=8"
    )
    assert not (tmp_path / "runs").exists()
