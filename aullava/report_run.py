"""Reads the folder of a run for its report: config, fingerprint, scores, curves, answers, calibration."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aullava.answer_records import LAST_SCORE, kept_answers
from aullava.config.load import resolve
from aullava.config.schema import Config
from aullava.evaluation.answer_table import AnswerTable
from aullava.evaluation.calibration import UnitCalibration, read_calibration
from aullava.evaluation.choice import BEST
from aullava.evaluation.errors import ResultError
from aullava.report_plots import Curve
from aullava.subgroup_tables import FILE as SUBGROUPS
from aullava.training.run_folder import EVENTS, RESULT, is_finished
from aullava.vocabulary import vocabulary


@dataclass(frozen=True, slots=True)
class Run:
    """All that is shown of one run.

    Attributes:
        folder: of the run; `name`: its last two parts.
        config: as it was resolved; `texts`: config.yaml, overrides.txt and versions.json as they stand.
        prints: fingerprint.json.
        result: flat names of scores to values, NaN where there is no support.
        curves: tags of TensorBoard's scalars.
        tests: dataset -> answers of its test; `elsewhere`: of tests on other datasets.
        calibration: dataset -> Action Unit -> how its probability is read.
        weights: which ones were tested, in words.
        subgroups: dataset -> column -> group -> scores and intervals.
    """

    folder: Path
    name: str
    config: Config
    texts: dict[str, str]
    prints: dict[str, Any]
    result: dict[str, float]
    curves: dict[str, Curve]
    tests: dict[str, AnswerTable]
    elsewhere: dict[str, AnswerTable]
    calibration: dict[str, dict[str, UnitCalibration]]
    weights: str
    subgroups: dict[str, Any]

    def scores(self, prefix: str) -> dict[str, float]:
        """The scores below a prefix such as ``test/bp4d/``, without it."""
        return {key.removeprefix(prefix): v for key, v in self.result.items() if key.startswith(prefix)}


def read_run(folder: Path) -> Run:
    """Read the folder of a run.

    Raises:
        ResultError: it was not fitted to its end or not tested, or a file in it is damaged.
    """
    result = _plain(folder, RESULT)
    if not is_finished(folder):
        raise ResultError(
            f"{folder} was not fitted to its end (it has no {folder / RESULT} of a fit): go on with "
            f"`aullava resume {folder}`"
        )
    tests = kept_answers(folder, "test")
    if not tests:
        raise ResultError(f"{folder} has no answers of a test: run `aullava test {folder}` first")
    for name in tests:
        if f"test/{name}/{LAST_SCORE}" not in result:
            raise ResultError(f"{folder} was not tested to its end: run `aullava test {folder}` again")
    names = ("config.yaml", "overrides.txt", "versions.json")
    return Run(
        folder=folder,
        name="/".join(folder.resolve().parts[-2:]),
        config=resolve(folder / "config.yaml", (), vocabulary()).config,
        texts={name: _text(folder / name) for name in names},
        prints=_plain(folder, "fingerprint.json"),
        result={
            key: math.nan if v is None else float(v)
            for key, v in result.items()
            if v is None or isinstance(v, int | float)
        },
        curves=_curves(folder / EVENTS),
        tests=tests,
        elsewhere=kept_answers(folder, "cross"),
        calibration=read_calibration(folder),
        weights=_weights(result),
        subgroups=_plain(folder, SUBGROUPS),
    )


def _weights(result: Mapping[str, Any]) -> str:
    """Which weights a run reports; nothing is known of runs that were imported."""
    if "weights_step" not in result:
        return ""
    step, by = result["weights_step"], result["weights_by"]
    if "weights_score" not in result:
        return f"weights of the last step, {step}"
    said = "mean of the validation scores" if by == BEST else by
    return f"weights of step {step}, the best by {said}: {result['weights_score']:.3f}"


def _plain(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultError(f"{path} is no JSON ({error}): delete it and make it again") from None
    if not isinstance(found, Mapping):
        raise ResultError(f"{path} holds no names and values: delete it and make it again")
    return dict(found)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _curves(folder: Path) -> dict[str, Curve]:
    """Every scalar of the event files, in the order of its steps."""
    if not folder.is_dir():
        return {}
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 1, "tensors": 1})
    events.Reload()
    found = {}
    for tag in events.Tags()["scalars"]:
        points = events.Scalars(tag)
        found[tag] = (np.array([p.step for p in points], float), np.array([p.value for p in points], float))
    return found
