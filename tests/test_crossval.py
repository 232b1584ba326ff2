"""`aullava crossval` on the fake of BP4D: the same table twice, nothing done twice, nothing mixed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aullava.cli import main
from aullava.evaluation.errors import ResultError
from aullava.fold_processes import FoldProcesses, failed
from aullava.training.errors import PreemptedError
from tests.fakes import written
from tests.source_tree import REPOSITORY
from tests.tiny_runs import contents

BP4D = str(REPOSITORY / "experiments" / "bp4d.yaml")
TABLES = ("crossval.txt", "crossval.md", "crossval.tex", "crossval.csv", "crossval.json")
ANSWERS = "answers/test/bp4d.parquet"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crossval")


@pytest.fixture(scope="module")
def words(home: Path) -> list[str]:
    """Two steps on nine people, on one device."""
    few = ["trainer.max_steps=2", "trainer.val_every=null", "data.batch_size=4", "trainer.accelerator=cpu"]
    few += ["model=tiny", "trainer.precision=32-true", "evaluation.baselines=false"]
    return [*written(["bp4d"], home / "data"), *few]


@pytest.fixture(scope="module")
def done(home: Path, words: list[str]) -> Path:
    """A folder with three folds."""
    assert main(["crossval", BP4D, *words, "--out", str(home / "a")]) == 0
    return home / "a"


def test_a_second_fresh_folder_has_the_same_tables(
    done: Path, home: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["crossval", BP4D, *words, "--out", str(home / "b")]) == 0
    printed = capsys.readouterr().out
    for name in TABLES:
        assert (home / "b" / name).read_bytes() == (done / name).read_bytes()
    text = (done / "crossval.txt").read_text()
    assert text in printed
    assert text.startswith(
        "bp4d: presence, present from 0.5, 3 folds of canonical_folds v1, 72 faces of 9 people"
    )
    assert "fingerprint " in text
    assert "always present" in text
    assert "MDHR R50 (b,c)" in text


def test_a_process_for_each_fold_makes_the_same_tables(done: Path, home: Path, words: list[str]) -> None:
    assert main(["crossval", BP4D, *words, "--out", str(home / "c"), "--jobs", "2"]) == 0
    for name in TABLES:
        assert (home / "c" / name).read_bytes() == (done / name).read_bytes()


def test_what_is_done_is_not_done_again(
    done: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(done, tmp_path / "out"))
    before = contents(out)
    (out / "fold2" / "1" / ANSWERS).unlink()  # fitted, and stopped before it was tested
    assert main(["crossval", BP4D, *words, "--out", str(out)]) == 0
    after = contents(out)
    assert set(after) == set(before)
    assert [name for name in before if after[name] != before[name] and "result.json" not in name] == []
    assert capsys.readouterr().out.count("is there already") == 2


def test_a_fold_that_was_stopped_goes_on(done: Path, words: list[str], tmp_path: Path) -> None:
    out = Path(shutil.copytree(done, tmp_path / "out"))
    for name in ("result.json", "calibration.json", ANSWERS):
        (out / "fold3" / "1" / name).unlink()
    assert main(["crossval", BP4D, *words, "--out", str(out)]) == 0
    assert [one.name for one in (out / "fold3").iterdir()] == ["1"]
    assert (out / "crossval.json").read_bytes() == (done / "crossval.json").read_bytes()


@pytest.mark.slow
def test_a_signal_reaches_the_folds_and_nobody_is_left_behind(words: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aullava", "crossval", BP4D, *words, "trainer.max_steps=5000"]
    command += ["trainer.log_every=1", "--out", str(tmp_path / "out"), "--jobs", "2"]
    place = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, cwd=REPOSITORY, env=place, stderr=subprocess.PIPE, text=True) as process:
        homes = [tmp_path / "out" / f"fold{fold}" / "1" for fold in (1, 2)]
        while not all(_learns(home) for home in homes) and process.poll() is None:
            time.sleep(0.2)
        threads = Path(f"/proc/{process.pid}/task").iterdir()
        folds = [int(one) for thread in threads for one in (thread / "children").read_text().split()]
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=120)[1]
    assert process.returncode == 143, told
    assert "stopped by SIGTERM: what the folds have learned is saved, the same words go on" in told
    assert len(folds) == 2
    assert [one for one in folds if Path(f"/proc/{one}").exists()] == []
    assert "Traceback" not in told
    assert not (tmp_path / "out" / "fold3").exists()
    assert all(list((home / "checkpoints").glob("*.ckpt")) for home in homes)


@pytest.mark.parametrize(
    ("number", "ends"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGUSR1, PreemptedError)]
)
def test_nothing_begins_after_a_signal(number: signal.Signals, ends: type[BaseException]) -> None:
    before = signal.getsignal(number)
    with FoldProcesses() as processes:
        signal.raise_signal(number)
        assert processes.received is number
        with pytest.raises(ends):
            processes.run("fit", "nothing.yaml")
    assert signal.getsignal(number) is before


def test_a_fold_that_was_stopped_stops_all_and_one_that_failed_is_named() -> None:
    """The second is what a mistake of the user ends with."""
    with FoldProcesses() as processes, pytest.raises(ResultError, match="aullava fit nothing"):
        processes.run("fit", "nothing.yaml")
    for code in (143, -signal.SIGTERM, -signal.SIGUSR1):
        found = failed(("fit", "some.yaml"), code)
        assert isinstance(found, PreemptedError)
        assert found.exit_code == 143


def _learns(run: Path) -> bool:
    """Whether a fit has taken its first steps: what it writes down of a step is on the disk."""
    return sum(file.stat().st_size for file in (run / "tensorboard").glob("events*")) > 1000


def _refused(words: list[str], out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    before = contents(out)
    capsys.readouterr()
    assert main(["crossval", *words, "--out", str(out)]) == 2
    assert contents(out) == before
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "Traceback" in line] == []
    return said[-1]


def test_folds_of_another_experiment_are_not_mixed_in(
    done: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = _refused([BP4D, *words, "optim.lr_lora=0.5"], done, capsys)
    assert (
        "is a fold of another experiment (optim.lr_lora was 0.0025 and is now 0.5): give another --out"
        in said
    )


def test_folds_on_several_devices_run_one_at_a_time(
    done: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = _refused([BP4D, *words, "strategy=ddp", "strategy.devices=2", "--jobs", "2"], done, capsys)
    assert "--jobs is for folds on one device each" in said


def test_a_damaged_table_is_named(
    done: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(done, tmp_path / "out"))
    (out / "fold1" / "1" / ANSWERS).write_text("no parquet")
    said = _refused([BP4D, *words], out, capsys)
    assert f"{out / 'fold1' / '1' / ANSWERS} holds no answers of a test" in said


def test_one_fold_is_no_cross_validation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo = str(REPOSITORY / "experiments" / "demo.yaml")
    data = [f"data.datasets.synthetic_bp4d.root={tmp_path / 'faces'}", "data=synthetic_bp4d"]
    few = [
        f"data.datasets.synthetic_bp4d.options.{key}={n}"
        for key, n in (("train_people", 5), ("test_people", 1))
    ]
    few += [
        f"data.datasets.synthetic_bp4d.options.{key}=1"
        for key in ("faces_per_person", "test_faces_per_person")
    ]
    capsys.readouterr()
    assert main(["crossval", demo, *data, *few, "--out", str(tmp_path / "out")]) == 2
    assert "there is one fold only (synthetic_bp4d 1)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
