"""What metrics cost: their share of an evaluation, and the intervals of a whole test set.

    python benchmarks/metrics.py [--small]

* A run of a few steps is tested twice; the time in the score books (update, compute, rows) is set against the
  processor time of the whole test. Wanted: at most 2 %.
* 150,000 predictions x 12 Action Units of 41 people with 1,000 draws of people, as F1 per unit and average of
  every fold, answers as written, at thresholds and always present. Wanted: at most 20 s.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aullava.cli import main as aullava
from aullava.config.fragments import EXPERIMENTS
from aullava.evaluation.answer_table import AnswerTable, Terms
from aullava.evaluation.calibration import fit_calibration
from aullava.evaluation.fold_scores import constant, fold_scores
from aullava.evaluation.scores import ScoreBook
from aullava.evaluation.thresholded import thresholded_answers
from benchmarks.shared.place import commit
from datamodules.action_units import BP4D_AUS, Scale

RESULTS = Path(__file__).resolve().parent / "results"


class Watch:
    """Adds up the processor time that is spent in some methods."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """The method, watched."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            try:
                return method(*args, **kwargs)
            finally:
                self.seconds += time.process_time() - started

        return watched


def share_of_a_test(faces: int, repeats: int) -> list[float]:
    """The score books' share of the processor time of a test, once for each repeat."""
    shares = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        words = [f"runs_dir={home / 'runs'}", "trainer.max_steps=1", "trainer.accelerator=cpu"]
        words += ["data.batch_size=4", "trainer.val_samples=1", "evaluation.baselines=false"]
        for name in ("synthetic_bp4d", "synthetic_disfa", "synthetic_feafa"):
            options = {"train_people": 5, "test_people": 5, "faces_per_person": 2}
            options["test_faces_per_person"] = faces // 5
            words.append(f"data.datasets.{name}.root={home / 'faces'}")
            words += [f"data.datasets.{name}.options.{key}={value}" for key, value in options.items()]
        assert aullava(["fit", str(EXPERIMENTS / "demo.yaml"), *words]) == 0
        for _ in range(repeats):
            watch = Watch()
            watched = {name: watch.around(getattr(ScoreBook, name)) for name in ("update", "compute", "rows")}
            with patch.multiple(ScoreBook, **watched):
                started = time.process_time()
                assert aullava(["test", str(home / "runs" / "demo" / "1")]) == 0
                shares.append(watch.seconds / (time.process_time() - started))
    return shares


def table(rows: int, people: int, fold: int, seed: int) -> AnswerTable:
    """Answers of presence about `rows` faces."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((rows, len(BP4D_AUS))) < 0.3).astype(np.float64)
    said = np.clip(0.25 + 0.5 * labels + rng.normal(0, 0.2, labels.shape), 0.001, 0.999)
    subjects = [f"S{fold}{at * people // rows:03d}" for at in range(rows)]
    terms = Terms("bp4d", "canonical_folds v1", "", BP4D_AUS, Scale.PRESENCE, 0.5, "")
    ids = [f"{fold}/{at}" for at in range(rows)]
    return AnswerTable(terms, fold, ids, subjects, labels, (said >= 0.5).astype(np.float64), said)


def intervals(rows: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of the wall clock: the three-fold table with 1,000 draws, and the calibration of one fold."""
    tables = {fold: table(rows // 3, 14, fold, fold) for fold in (1, 2, 3)}
    validation = table(rows // 10, 4, 9, 9)
    found: dict[str, list[float]] = {"three_rows_of_three_folds_s": [], "f1_once_s": [], "calibration_s": []}
    for _ in range(repeats):
        started = time.perf_counter()
        units = fit_calibration(validation)
        found["calibration_s"].append(time.perf_counter() - started)
        started = time.perf_counter()
        fold_scores(tables, ("f1",))
        found["f1_once_s"].append(time.perf_counter() - started)
        fold_scores(tables, ("f1",), {fold: thresholded_answers(one, units) for fold, one in tables.items()})
        fold_scores(tables, ("f1",), {fold: constant(one, 1) for fold, one in tables.items()})
        found["three_rows_of_three_folds_s"].append(time.perf_counter() - started)
    return found


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, write ``benchmarks/results/metrics.json`` unless it is small."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a minute, and nothing is written")
    small = parser.parse_args(words).small
    shares = share_of_a_test(50 if small else 500, 1 if small else 3)
    seconds = intervals(15_000 if small else 150_000, 1 if small else 3)
    found: dict[str, Any] = {
        "machine": {"cpus": os.cpu_count(), "threads": os.environ.get("OMP_NUM_THREADS")},
        "commit": commit(),
        "share_of_a_test": statistics.median(shares),
        "share_of_a_test_all": shares,
    }
    found |= {name: statistics.median(values) for name, values in seconds.items()}
    print(json.dumps(found, indent=1))
    if not small:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "metrics.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
