"""The main job, end to end: train on drawn faces, test on people never seen, show what came out."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from aullava.build import build_data
from aullava.config.fragments import EXPERIMENTS
from aullava.config.load import resolve
from aullava.config.schema import Config
from aullava.jobs import evaluate, fit
from aullava.prediction import Wanted, predict
from aullava.training.run_folder import update_result
from aullava.vocabulary import vocabulary
from datamodules.images import write_png
from datamodules.mixture import Mixture


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
    said = evaluate(run, "test")
    if not speaks:
        return 0
    print(said, end="")
    _one_face(run, build_data(resolved.config))
    seconds = round(time.monotonic() - started, 1)
    update_result(run, {"seconds": seconds})
    _goodbye(run, resolved.config, seconds)
    return 0


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
    print(f"\npicture: {run / 'demo' / 'overlays' / '0001_face.png'}")
    # In an environment that is not activated it is found beside its Python only.
    board = shutil.which("tensorboard") or str(Path(sys.executable).with_name("tensorboard"))
    print(
        f"curves:  {shlex.quote(board)} --logdir {shlex.quote(config.runs_dir)}   (then open http://localhost:6006)"
    )
    print(f"done in {seconds:.0f} s")
