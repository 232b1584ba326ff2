"""`aullava demo` from end to end on a handful of people: what it prints and what it leaves behind."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aullava.cli import main
from aullava.score_tables import BASELINES, METRICS
from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS, Scale
from tests.tiny_runs import DATASETS, TEST_FACES, small

AUS = dict(zip(DATASETS, (BP4D_AUS, DISFA_AUS, FEAFA_AUS), strict=True))
SCALES = dict(zip(DATASETS, Scale, strict=True))
ROWS = {
    "synthetic_bp4d": ["AU-LLaVA", "linear probe", "always present", "always 0"],
    "synthetic_disfa": ["AU-LLaVA", "linear probe", "always present", "always 0", "training mean"],
    "synthetic_feafa": ["AU-LLaVA", "linear probe", "always 0", "training mean"],
}
TITLES = {"f1": "F1 x 100", "mae": "MAE", "pcc": "PCC"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a demo")  # a blank in the path


@pytest.fixture(scope="module")
def said(home: Path) -> str:
    """What the demo prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["demo", *small(home, 2)]) == 0
    return printed.getvalue()


def _result(home: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((home / "runs" / "demo" / "1" / "result.json").read_text())
    return found


def _part(said: str, dataset: str) -> str:
    """What is said about one dataset's test."""
    head = rf"^{dataset}: \w+(?: \(F1: 2 and above\))?, {TEST_FACES} faces of 1 held-out people$"
    found = re.search(rf"{head}(.*?)(?=^synthetic_\w+: |^\d+ scores in )", said, re.DOTALL | re.MULTILINE)
    assert found is not None, said
    return found[1]


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_has_its_tables(dataset: str, said: str) -> None:
    part = _part(said, dataset)
    for metric in METRICS[SCALES[dataset]]:
        headings = [line for line in part.splitlines() if line.startswith(TITLES[metric])]
        columns = " ".join(headings).split()
        assert [word for word in columns if word in AUS[dataset]] == list(AUS[dataset])
        assert columns[-1] == "avg"
    assert max(map(len, part.splitlines())) <= 100


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_model_stands_above_the_baselines(dataset: str, said: str) -> None:
    part = _part(said, dataset)
    known = ["AU-LLaVA", *BASELINES.values()]
    order = [name for line in part.splitlines() for name in known if line.startswith(f"{name} ")]
    blocks = sum(line.startswith("---") for line in part.splitlines())  # a wide table comes in several
    assert order == ROWS[dataset] * blocks
    assert blocks >= len(METRICS[SCALES[dataset]])


def test_the_tables_show_the_scores_of_the_result(said: str, home: Path) -> None:
    result = _result(home)
    table = _part(said, "synthetic_bp4d").split("\n\n")[1]
    line = next(line for line in table.splitlines() if line.startswith("always present"))
    average = result["baseline/always_present/synthetic_bp4d/f1_macro"]
    assert line.split()[-1] == f"{100 * average:.1f}"


def test_one_face_is_answered_in_every_format_and_drawn(said: str, home: Path) -> None:
    answers = said.partition("asked in every format:")[2]
    for start in ("  presence   AU1: ", "  level      AU1: ", "  intensity  AU43L: "):
        assert start in answers
    drawing = home / "runs" / "demo" / "1" / "demo" / "overlays" / "0001_face.png"
    picture = np.asarray(Image.open(drawing))
    assert picture.shape[1] > 3 * picture.shape[0] / 2  # three columns of bars beside the face
    assert picture.std() > 10
    assert str(drawing) in said


def test_it_says_how_to_go_on(said: str, home: Path) -> None:
    assert f"tensorboard --logdir '{home / 'runs'}'" in said
    seconds = _result(home)["seconds"]
    assert f"done in {seconds:.0f} s" in said
    scores = [name for name in _result(home) if "/" in name]
    assert f"{len(scores)} scores in {home / 'runs' / 'demo' / '1' / 'result.json'}" in said
