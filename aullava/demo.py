"""The main job, end to end: train on drawn faces, test on people never seen, show what came out."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from aullava.baselines import MEAN, PRESENT, PROBE, ZERO
from aullava.build import build_data
from aullava.config.fragments import EXPERIMENTS
from aullava.config.load import resolve
from aullava.config.schema import Config
from aullava.evaluation.scores import PRESENT_FROM
from aullava.evaluation.tables import text_table
from aullava.jobs import evaluate, fit
from aullava.prediction import Wanted, predict
from aullava.training.run_folder import update_result
from aullava.vocabulary import vocabulary
from datamodules.action_units import Scale
from datamodules.images import write_png
from datamodules.mixture import Mixture

METRICS: Mapping[Scale, tuple[str, ...]] = {
    Scale.PRESENCE: ("f1",),
    Scale.LEVEL: ("f1", "mae"),
    Scale.INTENSITY: ("pcc", "mae"),
}
OWN: Mapping[str, str] = {"AU-LLaVA": "test"}
BASELINES: Mapping[str, str] = {
    PROBE: "linear probe",
    PRESENT: "always present",
    ZERO: "always 0",
    MEAN: "training mean",
}


def run_demo(overrides: Sequence[str] = ()) -> int:
    """Fit, test and show ``experiments/demo.yaml``.

    Args:
        overrides: changes of its config, as on the command line.

    Returns:
        0; what goes wrong is raised.
    """
    started = time.monotonic()
    resolved = resolve(EXPERIMENTS / "demo.yaml", overrides, vocabulary())
    names = ", ".join(resolved.config.data.datasets)
    speaks = os.environ.get("RANK", "0") == "0"  # of several processes, the first
    if speaks:
        print(f"One model, trained on {names}: drawn faces, three ways of coding them.\n")
    run = fit(resolved)
    print(f"\nTesting it on people it has never seen ({run}) ...")
    scores = evaluate(run, "test")
    if not speaks:
        return 0
    data = build_data(resolved.config)
    print_tables(data, scores)
    _one_face(run, data)
    seconds = round(time.monotonic() - started, 1)
    update_result(run, {"seconds": seconds})
    _goodbye(run, resolved.config, seconds)
    return 0


def print_tables(data: Mixture, scores: Mapping[str, float]) -> None:
    """Scores per Action Unit of every dataset, beside its baselines on the same faces."""
    for member in data.members:
        faces = len(member.rows("test", member.loading.test_samples))
        people = len(member.split.test)
        scale = member.coded_scale()
        counted = f" (F1: {PRESENT_FROM[scale]:g} and above)" if scale is Scale.LEVEL else ""
        print(f"\n{member.name}: {scale.value}{counted}, {faces} faces of {people} held-out people")
        for metric in METRICS[scale]:
            rows = score_rows(scores, member.name, metric)
            print("\n" + text_table(rows, member.asked_aus, metric), end="")


def score_rows(
    scores: Mapping[str, float], dataset: str, metric: str, own: Mapping[str, str] = OWN
) -> dict[str, dict[str, float]]:
    """The rows of one table: the model first, then the baselines, of each what has this metric.

    Args:
        scores: flat names of `aullava.jobs.evaluate` to values.
        dataset: registered name.
        metric: f1, mae or pcc.
        own: title -> what the names of the model's own scores begin with.
    """
    wanted = {title: f"{kind}/{dataset}/" for title, kind in own.items()}
    wanted |= {title: f"baseline/{name}/{dataset}/" for name, title in BASELINES.items()}
    rows = {title: _below(scores, prefix) for title, prefix in wanted.items()}
    return {title: found for title, found in rows.items() if f"{metric}_macro" in found}


def _below(scores: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {key.removeprefix(prefix): value for key, value in scores.items() if key.startswith(prefix)}


def _one_face(run: Path, data: Mixture) -> None:
    """Ask about one held-out face in all formats, and draw the answers."""
    member = data.members[0]
    rows = member.rows("test")
    row = rows[min(7, len(rows) - 1)]
    face = run / "demo" / "face.png"
    face.parent.mkdir(parents=True, exist_ok=True)
    write_png(face, member.sample(row).image)
    print(f"\nOne face of a held-out person ({member.index.sample_ids[row]}), asked in every format:")
    predict(run, [str(face)], Wanted())
    predict(run, [str(face)], Wanted(out=face.parent, overlays=True))


def _goodbye(run: Path, config: Config, seconds: float) -> None:
    result = json.loads((run / "result.json").read_text())
    scores = sum("/" in name for name in result)
    print(f"\n{scores} scores in {run / 'result.json'}")
    print(f"picture: {run / 'demo' / 'overlays' / '0001_face.png'}")
    # In an environment that is not activated it is found beside its Python only.
    board = shutil.which("tensorboard") or str(Path(sys.executable).with_name("tensorboard"))
    print(
        f"curves:  {shlex.quote(board)} --logdir {shlex.quote(config.runs_dir)}   (then open http://localhost:6006)"
    )
    print(f"done in {seconds:.0f} s")
