"""`aullava datasets new`: what it writes works as it stands, and it writes over nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aullava.cli import main
from aullava.dataset_skeleton import FILES
from tests.plug_in import register
from tests.source_tree import REPOSITORY

CONTRACT = REPOSITORY / "tests" / "datamodules" / "test_contract.py"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new package, as the command line writes it."""
    folder = tmp_path_factory.mktemp("new")
    assert main(["datasets", "new", "my_own_faces", "--to", str(folder / "deeper")]) == 0
    return folder / "deeper" / "my_own_faces"


def _ran(package: Path, site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``python ...`` beside the package, which is known to the process; new site folders per call."""
    environment = register(package, site)
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=package.parent, env=environment, capture_output=True, text=True, check=False
    )


def test_it_writes_the_parts_of_the_path(package: Path) -> None:
    names = {file.format(name="my_own_faces") for file in FILES}
    assert {path.name for path in package.iterdir()} == names
    assert [path.name for path in package.parent.iterdir()] == ["my_own_faces"]  # no draft is left behind
    assert all("$" not in path.read_text().replace("${oc.env:", "") for path in package.iterdir())
    for path in package.glob("*.py"):
        compile(path.read_text(), str(path), "exec")


def test_module_fake_and_yaml_are_at_most_60_lines(package: Path) -> None:
    counted = [package / f"my_own_faces{end}" for end in (".py", "_fake.py", ".yaml")]
    lines = [line for path in counted for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) <= 60


def test_a_process_that_knows_the_package_knows_the_dataset(package: Path, tmp_path: Path) -> None:
    listed = _ran(package, tmp_path / "one", "-m", "aullava", "datasets", "my_own_faces")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.startswith("my_own_faces: What the faces show")
    assert "presence (0 or 1)" in listed.stdout
    experiment = str(package / "my_own_faces.yaml")
    words = ["-m", "aullava", "config", experiment, "data.datasets.my_own_faces.fold=2"]
    config = _ran(package, tmp_path / "two", *words)
    assert (config.returncode, config.stderr) == (0, "")
    assert "experiment: my_own_faces" in config.stdout


@pytest.mark.slow
def test_the_contract_runs_on_the_new_dataset(package: Path, tmp_path: Path) -> None:
    words = ["-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA", str(package)]
    ran = _ran(package, tmp_path / "site", *words)
    assert ran.returncode == 0, ran.stdout
    passed = {line.split("::")[1].split("[")[0] for line in ran.stdout.splitlines() if line[:6] == "PASSED"}
    wanted = {line[4:].split("(")[0] for line in CONTRACT.read_text().splitlines() if line[:8] == "def test"}
    assert passed >= wanted | {"test_a_missing_column_is_named", "test_nine_is_unknown_and_not_absent"}
    assert len(wanted) > 15


@pytest.mark.slow
def test_a_broken_dataset_fails_the_contract(package: Path, tmp_path: Path) -> None:
    """The tests that a new dataset is given are not blind."""
    broken = tmp_path / "my_own_faces"
    broken.mkdir()
    for path in package.iterdir():
        if path.is_file():
            text = path.read_text().replace('unknown=("9",)', 'unknown=("0",)')
            (broken / path.name).write_text(text)
    words = ["-m", "pytest", "-p", "no:cacheprovider", "-q", "-x", str(broken)]
    ran = _ran(broken, tmp_path / "site", *words)
    assert ran.returncode == 1
    assert "label 9 of AU25 is outside the scale 'presence'" in ran.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["new"], "the new dataset has no name: write `aullava datasets new my_faces`"),
        (["new", "My Faces"], "'My Faces' cannot be a dataset: take a word of lower-case letters"),
        (["new", "../x"], "'../x' cannot be a dataset"),
        (["new", "class"], "'class' cannot be a dataset"),
        (["new", "disfa"], "there is already a dataset 'disfa': take another name"),
        (["new", "json"], "'json' already means something to Python"),
        (["new", "check"], "'check' already means something to Python or to aullava"),
    ],
)
def test_names_that_cannot_be_are_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["datasets", *words, "--to", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"aullava: {said}")
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_never_written_over(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in package.iterdir()}
    assert main(["datasets", "new", "my_own_faces", "--to", str(package.parent)]) == 2
    assert "exists already: take another name, or another folder by --to" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in package.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["datasets", "new", "my_own_faces", "--to", str(tmp_path / "file")]) == 2
    assert f"nothing can be written to {tmp_path / 'file'}" in capsys.readouterr().err
