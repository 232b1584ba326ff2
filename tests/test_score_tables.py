"""What a test and a validation print, on a handful of people; the demo's tables are tested with the demo."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from aullava.cli import main
from aullava.evaluation.tables import text_table
from aullava.score_tables import score_rows
from tests.tiny_runs import DATASETS, DEMO, small


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("some tables")  # a blank in the path
    assert main(["fit", DEMO, *small(home, 1)]) == 0
    return home / "runs" / "demo" / "1"


@pytest.mark.parametrize(
    ("verb", "people", "first_table"),
    [
        ("validate", "2 faces of 1 validation", ["AU-LLaVA", "positives"]),
        (
            "test",
            "3 faces of 1 held-out",
            ["AU-LLaVA", "linear probe", "always present", "always 0", "positives"],
        ),
    ],
)
def test_tables_of_every_dataset_and_where_the_rest_is(
    verb: str, people: str, first_table: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, str(run)]) == 0
    said = capsys.readouterr().out
    headings = re.findall(r"^(\w+): (\w+)(?: \(F1: 2 and above\))?, (.*) people$", said, re.MULTILINE)
    scales = ("presence", "level", "intensity")
    assert headings == [(name, scale, people) for name, scale in zip(DATASETS, scales, strict=True)]
    table = said.partition("F1 x 100")[2].partition("\n\n")[0].splitlines()[2:]
    assert [re.split(r"\s{2,}", line)[0] for line in table] == first_table

    result = json.loads((run / "result.json").read_text())
    kept = sum("/" in name for name in result)
    page = f"; `aullava report '{run}'` makes a page of them" if verb == "test" else ""
    assert said.endswith(f"\n{kept} scores in {run / 'result.json'}{page}\n")
    own = f"{'val' if verb == 'validate' else 'test'}/synthetic_bp4d/f1_macro"
    assert table[0].split()[-1] == f"{100 * result[own]:.1f}"


def test_rows_are_those_that_have_the_metric() -> None:
    scores = {
        "test/a/f1/AU1": 0.5,
        "test/a/f1_macro": 0.5,
        "test/a/positives/AU1": 3.0,
        "test/b/f1_macro": 0.9,
        "baseline/always_zero/a/f1/AU1": float("nan"),
        "baseline/always_zero/a/f1_macro": float("nan"),
        "baseline/training_mean/a/mae_macro": 0.1,
    }
    rows = score_rows(scores, "a", "f1")
    assert list(rows) == ["AU-LLaVA", "always 0"]
    assert rows["AU-LLaVA"] == {"f1/AU1": 0.5, "f1_macro": 0.5, "positives/AU1": 3.0}
    assert "-" in text_table(rows, ["AU1"], "f1").splitlines()[3]
    assert score_rows(scores, "a", "pcc") == {}
