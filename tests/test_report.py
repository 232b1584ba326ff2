"""`aullava report`: one page with everything on it, which a browser opens without a complaint."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from aullava.cli import main
from datamodules.synthetic import Synthetic
from tests.browser import needs_browser, opened
from tests.tiny_runs import DATASETS, DEMO, contents, small


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    """Fitted, validated twice, tested with baselines, grouped."""
    assert main(["fit", DEMO, *small(home, 4), "trainer.val_every=2"]) == 0
    run = home / "runs" / "demo" / "1"
    assert main(["test", str(run)]) == 0
    people = home / "people.csv"
    people.write_text("subject,glasses\nS006,yes & no\n")
    assert main(["subgroups", str(run), "--by", "glasses", "--people", str(people), "--draws", "10"]) == 0
    return run


@pytest.fixture(scope="module")
def page(run: Path, home: Path) -> Path:
    """The report of a run beside a copy of it with a test elsewhere."""
    other = Path(shutil.copytree(run, home / "runs" / "demo" / "2"))
    result = json.loads((other / "result.json").read_text()) | {"cross/disfa/f1_macro": 0.25}
    (other / "result.json").write_text(json.dumps(result))
    (other / "answers" / "cross").mkdir()
    shutil.copy(
        other / "answers" / "test" / "synthetic_bp4d.parquet", other / "answers" / "cross" / "disfa.parquet"
    )
    assert main(["report", str(run), str(other), "--out", str(home / "report.html")]) == 0
    return home / "report.html"


def test_the_page_holds_every_part(page: Path, run: Path) -> None:
    text = page.read_text()
    for part in ("Runs beside each other", "never saw", "While it learned", "Groups", "Faces", "Config"):
        assert part in text
    for name in DATASETS:
        assert f"<h2>{name}</h2>" in text
    for part in ("Precision (up) against recall", "Reliability", "Units that come together", "Training loss"):
        assert part in text
    assert "yes &amp; no" in text
    assert "linear probe" in text
    result = json.loads((run / "result.json").read_text())
    assert f"weights of step {result['weights_step']}, the best by mean of the validation scores" in text
    assert "0.250" in text
    result = json.loads((run / "result.json").read_text())
    assert f"{result['test/synthetic_disfa/mae_macro']:.3f}" in text
    assert json.loads((run / "fingerprint.json").read_text())["data"] in text


def test_the_page_needs_nothing_but_itself(page: Path) -> None:
    text = page.read_text()
    assert set(re.findall(r'(?:src|href)="([a-z]+:)', text)) == {"data:"}
    assert "url(" not in text
    assert "<script" not in text
    assert text.count("data:image/jpeg;base64,") >= 2 * len(DATASETS)


@needs_browser
def test_a_browser_opens_it_without_a_complaint(page: Path, tmp_path: Path) -> None:
    seen, said = opened(page, tmp_path)
    assert said == ""
    assert seen["errors"] == []
    assert seen["images"] == page.read_text().count("<img ")
    assert seen["missing"] == 0
    assert seen["drawn"] > 20
    assert seen["wide"] <= 1300


def test_only_the_faces_shown_are_drawn_again(run: Path, page: Path, tmp_path: Path, home: Path) -> None:
    """The store of drawn faces is gone: the page is the same, and nobody draws all of them for it."""
    (store,) = (home / "faces").glob("*.npy")
    kept = store.rename(tmp_path / store.name)
    try:
        assert main(["report", str(run), "--out", str(tmp_path / "without.html")]) == 0
        assert list((home / "faces").glob("*.npy")) == []
    finally:
        kept.rename(store)
    assert main(["report", str(run), "--out", str(tmp_path / "with.html")]) == 0
    assert (tmp_path / "without.html").read_bytes() == (tmp_path / "with.html").read_bytes()


def test_faces_that_may_not_be_shown_are_withheld(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Synthetic, "log_images", False)
    assert main(["report", str(run), "--out", str(tmp_path / "report.html")]) == 0
    text = (tmp_path / "report.html").read_text()
    assert "its faces may not be shown" in text
    assert "data:image" not in text


@pytest.mark.parametrize("damage", ["untested", "unfinished", "result", "answers"])
def test_a_run_without_result_is_refused(
    damage: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Path(shutil.copytree(run, tmp_path / "runs" / "demo" / "1"))
    answers = broken / "answers" / "test"
    if damage == "untested":
        shutil.rmtree(answers)
    elif damage == "unfinished":
        (broken / "result.json").unlink()
    elif damage == "result":
        (broken / "result.json").write_text("{")
    else:
        (answers / "synthetic_bp4d.parquet").write_text("")
    before = contents(tmp_path)
    capsys.readouterr()
    assert main(["report", str(broken)]) == 2
    assert contents(tmp_path) == before
    said = capsys.readouterr().err
    wanted = {
        "untested": "has no answers of a test",
        "unfinished": "was not fitted to its end",
        "result": "is no JSON",
    }
    assert wanted.get(damage, "holds no answers of a test") in said
    assert said.count("\n") == 1
