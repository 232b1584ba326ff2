"""Results that are not there or do not pair up: one line, exit code 2, nothing trained, nothing written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aullava.answer_records import is_tested
from aullava.cli import main
from tests.data.folder.data import write
from tests.source_tree import REPOSITORY
from tests.tiny_runs import DEMO, contents, small

ONE = "synthetic_bp4d"
ANSWERS = f"answers/test/{ONE}.parquet"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad_results")


@pytest.fixture(scope="module")
def tested(home: Path) -> Path:
    words = [f"data={ONE}", *small(home, 1, [ONE]), "evaluation.baselines=false"]
    assert main(["fit", DEMO, *words]) == 0
    assert main(["test", str(home / "runs" / "demo" / "1")]) == 0
    return home / "runs" / "demo" / "1"


@pytest.fixture
def run(tested: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tested, tmp_path / "runs" / "demo" / "1"))


def _refused(words: list[str], kept: Path, capsys: pytest.CaptureFixture[str]) -> str:
    before = contents(kept)
    capsys.readouterr()
    assert main(words) == 2
    assert contents(kept) == before
    said = [line for line in capsys.readouterr().err.splitlines() if "aullava: " in line]
    assert len(said) == 1
    return said[0]


@pytest.mark.parametrize(
    "words",
    [["test"], ["test", "data=synthetic_disfa"], ["report"]],
    ids=" ".join,
)
def test_a_run_without_result(
    words: list[str], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "result.json").unlink()
    verb, *more = words
    said = _refused([verb, str(run), *more], tmp_path, capsys)
    assert f"{run} was not fitted to its end (it has no {run / 'result.json'} of a fit)" in said
    assert f"`aullava resume {run}`" in said


@pytest.mark.parametrize("verb", [["report"], ["subgroups", "--by", "task"]], ids=" ".join)
def test_a_face_that_stands_twice(
    verb: list[str], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(run / ANSWERS)
    pq.write_table(pa.concat_tables([table, table.slice(1, 1)]), run / ANSWERS)
    twice = table.column("sample_id")[1].as_py()
    said = _refused([verb[0], str(run), *verb[1:]], tmp_path, capsys)
    assert f"{run / ANSWERS}: sample '{twice}' stands twice (rows 2, {len(table) + 1})" in said


def test_a_test_that_was_stopped(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Answers are kept before the scores: without the scores nobody takes them for the whole."""
    assert is_tested(run)
    result = json.loads((run / "result.json").read_text())
    left = {key: value for key, value in result.items() if not key.startswith("test/")}
    (run / "result.json").write_text(json.dumps(left))
    assert not is_tested(run)
    assert f"{run} was not tested to its end" in _refused(["report", str(run)], tmp_path, capsys)


def test_a_table_without_rows(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pq.read_table(run / ANSWERS).slice(0, 0), run / ANSWERS)
    said = _refused(["report", str(run)], tmp_path, capsys)
    assert f"{run / ANSWERS} has no row: the fold is empty, test the run again" in said


def _folder(tmp_path: Path, folds: object) -> list[str]:
    """A cross-validation of a folder of pictures by a user's own folds."""
    write(tmp_path / "faces")
    (tmp_path / "folds.json").write_text(json.dumps(folds))
    section = "data.datasets.folder"
    words = ["crossval", DEMO, "data=folder", f"{section}.root={tmp_path / 'faces'}"]
    words += [f"{section}.options.folds_file={tmp_path / 'folds.json'}", f"{section}.protocol=own_folds"]
    return [*words, f"{section}.options.scale=level", "--out", str(tmp_path / "out")]


@pytest.mark.parametrize(
    ("folds", "said"),
    [
        ([["P0", "P1"], [], ["P2"]], "protocol 'own_folds' leaves nobody in the test part of fold 2"),
        ([["P0"], ["P1", "P0"]], "fold 2: 'P0' is also in fold 1: name every person in one fold only"),
        ([["P0"], ["P77"]], "fold 2: the dataset has nobody called 'P77'"),
    ],
)
def test_folds_that_cannot_be_are_refused_before_the_first_is_fitted(
    folds: object, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = _folder(tmp_path, folds)
    assert said in _refused(words, tmp_path, capsys)


def test_labels_with_a_decimal_comma(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = _folder(tmp_path, [["P0"], ["P1"]])
    table = tmp_path / "faces" / "labels.csv"
    lines = table.read_text().splitlines()
    cells = lines[2].split(",")
    lines[2] = ",".join([*cells[:3], '"2,5"', *cells[4:]])
    table.write_text("\n".join(lines) + "\n")
    assert f"{table}:3: '2,5' as the label of AU12L is no number" in _refused(words, tmp_path, capsys)


def test_nothing_to_set_beside_is_found_before_the_first_fold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = _folder(tmp_path, [["P0"], ["P1"]])
    said = _refused([*words, "--beside", str(tmp_path / "faces")], tmp_path, capsys)
    assert f"{tmp_path / 'faces'} holds no cross-validation" in said


def test_an_experiment_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = REPOSITORY / "experiments" / "bpd4.yaml"
    assert "bpd4.yaml" in _refused(["crossval", str(path), "--out", str(tmp_path / "out")], tmp_path, capsys)
