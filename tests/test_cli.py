"""The command line, mostly as a user runs it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aullava.cli import VERBS, main
from aullava.config.load import Resolved, resolve
from aullava.config.show import save
from aullava.prediction import Wanted
from aullava.vocabulary import vocabulary
from tests.source_tree import REPOSITORY

HEAVY = ("torch", "lightning", "transformers", "peft", "torchmetrics", "albumentations", "cv2")
DEMO = str(REPOSITORY / "experiments" / "demo.yaml")
WHOLE = "experiment: mine\ntrainer: {max_steps: 1}\ndata: {datasets: {synthetic_bp4d: }}\n"


def _aullava(
    *words: str, cwd: Path = REPOSITORY, path: Sequence[Path] = ()
) -> subprocess.CompletedProcess[str]:
    """`python -X importtime -m aullava ...`; the report of imports is taken off stderr into `args`."""
    places = os.pathsep.join(map(str, [REPOSITORY, *path]))
    command = [sys.executable, "-X", "importtime", "-m", "aullava", *words]
    environment = {**os.environ, "PYTHONPATH": places}
    ran = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    lines = ran.stderr.splitlines(keepends=True)
    imported = [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]
    said = "".join(line for line in lines if not line.startswith("import time:"))
    return subprocess.CompletedProcess(imported, ran.returncode, ran.stdout, said)


def _heavy(ran: subprocess.CompletedProcess[str]) -> set[str]:
    assert "aullava.cli" in ran.args  # the report is there
    return {name.partition(".")[0] for name in ran.args} & set(HEAVY)


def _refused(ran: subprocess.CompletedProcess[str]) -> str:
    """The sentence of a refusal, after checking that it is all there is and that torch was not needed."""
    assert (ran.returncode, ran.stdout, _heavy(ran)) == (2, "", set())
    assert ran.stderr.count("\n") == 1
    assert ran.stderr.startswith("aullava: ")
    assert "Traceback" not in ran.stderr
    return ran.stderr.removeprefix("aullava: ").rstrip("\n")


@pytest.mark.parametrize("words", [["--help"], *([verb, "--help"] for verb in VERBS)], ids=" ".join)
def test_help_needs_no_torch(words: list[str]) -> None:
    ran = _aullava(*words)
    assert (ran.returncode, ran.stderr, _heavy(ran)) == (0, "", set())
    assert "aullava" in ran.stdout
    if words == ["--help"]:
        assert all(verb in ran.stdout for verb in VERBS)
    else:
        assert f"example: aullava {words[0]}" in ran.stdout


def test_the_typo_of_the_handbook_is_refused() -> None:
    said = _refused(_aullava("config", "experiments/demo.yaml", "trainer.max_stepz=1"))
    assert said == "command line: unknown key 'trainer.max_stepz', did you mean 'max_steps'?"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fitt", DEMO], "there is no verb 'fitt', did you mean 'fit'?"),
        (["fit"], "the following arguments are required: EXPERIMENT (see `aullava fit --help`)"),
        (["fit", DEMO, "--fast"], "unrecognized arguments: --fast (see `aullava fit --help`)"),
        (["datasets", "folder", "--strict"], "--strict belongs to `aullava datasets check NAME`"),
        (["--"], "the following arguments are required: VERB (see `aullava --help`)"),
        (
            ["fit", "experiments/dmo.yaml"],
            "experiments/dmo.yaml: there is no such file, did you mean 'experiments/demo.yaml'?",
        ),
        (
            ["fit", DEMO, "data=syntetic"],
            "command line: there is no fragment 'data/syntetic', did you mean 'data/synthetic'?",
        ),
        (["demo", "optim.lr=1"], "command line: unknown key 'optim.lr', did you mean 'lr_projector'?"),
        (["demo", "seed=x"], "command line: seed must be a whole number, not 'x'"),
        (
            ["fit", DEMO, "trainer.max_steps"],
            "command line: 'trainer.max_steps' is not key=value, such as trainer.max_steps=100",
        ),
        (
            ["fit", DEMO, "data.datasets.synthetic_bp4.fold=2"],
            "command line: unknown dataset 'synthetic_bp4', did you mean 'synthetic_bp4d'?",
        ),
        (
            ["fit", DEMO, "data.datasets.synthetic_bp4d.aus=[AU12,AU1R2]"],
            "command line: data.datasets.synthetic_bp4d.aus has an unknown Action Unit 'AU1R2', "
            "did you mean 'AU12'?",
        ),
    ],
)
def test_a_mistake_is_answered_in_one_line(words: list[str], said: str) -> None:
    assert _refused(_aullava(*words)).startswith(said)


def test_no_verb_shows_the_help_and_fails() -> None:
    ran = _aullava()
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("usage: aullava")


def test_a_class_path_in_a_file_is_never_imported(tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text("open('evil_was_here', 'w').close()\nclass Evil: ...\n")
    for name in ("'evil:Evil'", "evil.Evil", "evil"):
        (tmp_path / "x.yaml").write_text(f"trainer: {{max_steps: 1}}\ndata:\n  datasets:\n    {name}:\n")
        ran = _aullava("config", "x.yaml", cwd=tmp_path, path=[tmp_path])
        assert _refused(ran).startswith(f"x.yaml:4: unknown dataset '{name.strip(chr(39))}', ")
        assert "evil" not in ran.args
    assert not (tmp_path / "evil_was_here").exists()


def test_a_dataset_of_an_installed_package_is_known(tmp_path: Path) -> None:
    info = tmp_path / "other_faces-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-faces\nVersion: 1.0\n")
    points = "[aullava.datamodules]\nother = other_faces:Faces\n"
    points += "[aullava.datamodules.options]\nother = other_options:Options\n"
    (info / "entry_points.txt").write_text(points)
    (tmp_path / "other_faces.py").write_text("raise RuntimeError('a config does not import the dataset')\n")
    options = "from dataclasses import dataclass\n@dataclass\nclass Options:\n    blur: float = 0.5\n"
    (tmp_path / "other_options.py").write_text(options)
    (tmp_path / "x.yaml").write_text("trainer: {max_steps: 1}\ndata: {datasets: {other: }}\n")
    ran = _aullava("config", "x.yaml", cwd=tmp_path, path=[tmp_path])
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "blur: 0.5 " in ran.stdout
    ran = _aullava("config", "x.yaml", "data.datasets.other.options.blurr=1", cwd=tmp_path, path=[tmp_path])
    assert _refused(ran) == "command line: unknown option 'blurr' of dataset 'other', did you mean 'blur'?"


def test_config_prints_values_and_origins_that_read_back(tmp_path: Path) -> None:
    ran = _aullava("config", "experiments/demo.yaml", "strategy=ddp", "seed=3")
    assert (ran.returncode, ran.stderr, _heavy(ran)) == (0, "", set())
    told = {
        line.split("  # ")[0].strip(): line.split("  # ")[1]
        for line in ran.stdout.splitlines()
        if "#" in line
    }
    assert told["seed: 3"] == "command line"
    assert told["name: ddp"].startswith("experiments/strategy/ddp.yaml:")
    assert told["clip: 1.0"] == "schema default"
    (tmp_path / "printed.yaml").write_text(ran.stdout)
    again = resolve(tmp_path / "printed.yaml", (), vocabulary())
    assert again.config == resolve(DEMO, ["strategy=ddp", "seed=3"], vocabulary()).config


def test_datasets_lists_every_dataset_and_describes_one() -> None:
    ran = _aullava("datasets")
    assert ran.returncode == 0
    rows = {line.split()[0]: line.split() for line in ran.stdout.splitlines()}
    assert rows["synthetic_bp4d"][1:3] == ["12", "presence"]
    assert rows["synthetic_disfa"][1:3] == ["12", "level"]
    assert rows["synthetic_feafa"][1:3] == ["24", "intensity"]
    assert "folder" in rows
    ran = _aullava("datasets", "synthetic_feafa")
    assert ran.returncode == 0
    assert ran.stdout.startswith("synthetic_feafa: ")
    for part in (
        "intensity (0 to 1)",
        "protocols",
        "expected layout",
        "Action Units: 24",
        "  AU12L",
        "  AD34",
    ):
        assert part in ran.stdout
    assert "did you mean 'synthetic_feafa'" in _refused(_aullava("datasets", "synthetic_fefa"))


# ---- in this process, with the parts behind the verbs replaced


class _Jobs(ModuleType):
    """Stands in for `aullava.jobs`: notes what it was asked."""

    def __init__(self) -> None:
        super().__init__("aullava.jobs")
        self.asked: list[Any] = []

    def fit(self, resolved: Resolved) -> Path:
        self.asked.append(resolved)
        return Path("runs/mine/1")

    def evaluate(self, run: Path, split: str, overrides: Sequence[str]) -> str:
        self.asked.append((run, split, list(overrides)))
        return f"tables of {split}\n"

    def predict(self, run: Path, words: Sequence[str], wanted: Wanted) -> list[Path]:
        self.asked.append((run, list(words), wanted))
        return [] if wanted.out is None else [wanted.out]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> _Jobs:
    fake = _Jobs()
    monkeypatch.setitem(sys.modules, "aullava.jobs", fake)
    monkeypatch.setattr("aullava.prediction.predict", fake.predict)
    return fake


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder with a saved config, named from the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/mine/1")
    folder.mkdir(parents=True)
    Path("mine.yaml").write_text(WHOLE)
    save(resolve("mine.yaml", (), vocabulary()), folder / "config.yaml")
    return folder


def test_fit_hands_over_the_resolved_config(
    run: Path, jobs: _Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "mine.yaml", "seed=4"]) == 0
    assert (jobs.asked[0].config.experiment, jobs.asked[0].config.seed) == ("mine", 4)
    assert capsys.readouterr().out == "run: runs/mine/1\n"


@pytest.mark.parametrize(("verb", "split"), [("validate", "val"), ("test", "test")])
def test_scores_are_printed(
    verb: str, split: str, run: Path, jobs: _Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, str(run), "seed=4"]) == 0
    assert jobs.asked == [(run, split, ["seed=4"])]
    assert capsys.readouterr().out == f"tables of {split}\n"


def test_predict_hands_over_what_is_wanted(
    run: Path, jobs: _Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.png").touch()
    words = ["--formats", "presence, level", "--out", "here", "--aus", "12,AU4", "--overlays", "--resume"]
    assert main(["predict", str(run), "a.png", *words, "--batch-size", "3"]) == 0
    assert main(["predict", str(run), "*.png"]) == 0
    first = Wanted(
        formats=("presence", "level"),
        aus=("AU12", "AU4"),
        out=Path("here"),
        overlays=True,
        resume=True,
        batch_size=3,
    )
    assert jobs.asked == [(run, ["a.png"], first), (run, ["*.png"], Wanted())]
    assert capsys.readouterr().out == "written: here\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["test", "runs/mine/1", "sed=4"], "command line: unknown key 'sed', did you mean 'seed'?"),
        (
            ["test", "runs/mine"],
            "runs/mine is not the folder of a run (it has no config.yaml), did you mean 'runs/mine/1'?",
        ),
        (
            ["validate", "runs/mine/2"],
            "runs/mine/2 is not the folder of a run (it has no config.yaml), did you mean 'runs/mine/1'?",
        ),
        (
            ["test", "mine.yaml"],
            "mine.yaml is not the folder of a run (it has no config.yaml), "
            "`aullava fit EXPERIMENT` makes one",
        ),
        (
            ["predict", "runs/mine/1", "no.png"],
            "there is no image no.png: give pictures, videos, folders or stores",
        ),
        (
            ["predict", "runs/mine/1", "mine.yaml", "--aus", "AU1,99"],
            "there is no Action Unit '99', did you mean 'AU9'?",
        ),
        (
            ["predict", "runs/mine/1", "mine.yaml", "--openface"],
            "--openface writes beside the table: give --out DIR too",
        ),
        (
            ["predict", "runs/mine/1", "mine.yaml", "--formats", "levle"],
            "there is no answer format 'levle', did you mean 'level'?",
        ),
    ],
)
def test_a_run_is_checked_before_it_is_loaded(
    words: list[str], said: str, run: Path, jobs: _Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr() == ("", f"aullava: {said}\n")
    assert jobs.asked == []


def test_demo_checks_its_words_and_passes_on_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    demo = ModuleType("aullava.demo")
    monkeypatch.setattr(demo, "run_demo", len, raising=False)
    monkeypatch.setitem(sys.modules, "aullava.demo", demo)
    assert main(["demo", "seed=1", "trainer.max_steps=2"]) == 2
    assert main(["demo"]) == 0
    monkeypatch.setattr(demo, "run_demo", None)
    assert main(["demo", "sed=1"]) == 2  # refused before the demo is reached


def test_a_sheet_is_written_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "--sheet", str(tmp_path / "sheet.png")]) == 0
    assert (tmp_path / "sheet.png").read_bytes()[:4] == b"\x89PNG"

    (tmp_path / "taken.png").mkdir()
    for there in (tmp_path / "taken.png", tmp_path / "sheet.png" / "sheet.png"):
        assert main(["datasets", "--sheet", str(there)]) == 2
        assert f"aullava: {there} cannot be written (" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sheet.png", "taken.png"]


def test_interrupting_is_no_crash(run: Path, jobs: _Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(resolved: Resolved) -> Path:
        raise KeyboardInterrupt

    jobs.fit = interrupt  # type: ignore[method-assign]
    assert main(["fit", "mine.yaml"]) == 130
    assert capsys.readouterr() == ("", "aullava: interrupted\n")


def test_interrupting_lightning_is_no_crash_either(
    run: Path, jobs: _Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    """It tidies up and leaves with exit code 1 and no word."""

    def interrupt(resolved: Resolved) -> Path:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    jobs.fit = interrupt  # type: ignore[method-assign]
    assert main(["fit", "mine.yaml"]) == 130
    assert capsys.readouterr() == ("", "aullava: interrupted\n")


def test_a_bug_of_ours_keeps_its_traceback(run: Path, jobs: _Jobs) -> None:
    def fail(resolved: Resolved) -> Path:
        raise ValueError("not the user's mistake")

    jobs.fit = fail  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="not the user's mistake"):
        main(["fit", "mine.yaml"])


def test_every_rooms_error_is_one_line_for_the_user(
    run: Path, jobs: _Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    class RoomError(Exception):
        for_user = True

    def refuse(resolved: Resolved) -> Path:
        raise RoomError("two\n  lines")

    jobs.fit = refuse  # type: ignore[method-assign]
    assert main(["fit", "mine.yaml"]) == 2
    assert capsys.readouterr().err == "aullava: two lines\n"


def test_an_error_out_of_a_loader_process_loses_its_traceback(
    run: Path, jobs: _Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    class RoomError(Exception):
        for_user = True

    def refuse(resolved: Resolved) -> Path:
        where = 'Original Traceback (most recent call last):\n  File "worker.py", line 1, in loop\n'
        raise RoomError(
            f"Caught RoomError in worker process 0.\n{where}a.b.RoomError: x.png: cannot\n be read\n"
        )

    jobs.fit = refuse  # type: ignore[method-assign]
    assert main(["fit", "mine.yaml"]) == 2
    assert capsys.readouterr().err == "aullava: x.png: cannot be read\n"
