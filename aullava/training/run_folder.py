"""The folder of a run: numbered, never overwritten, every file written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from aullava.training.errors import RunError
from datamodules.whole_file import whole_file

CHECKPOINTS = "checkpoints"
"""Folder of the weights and of all that a run goes on from, below its own."""
EVENTS = "tensorboard"
"""Folder of the event files, below its own."""
RESULT = "result.json"
"""Of the scores, below its own."""
FINISHED = "seconds"
"""A key of the result that a fit writes at its end."""
LIBRARIES = (
    "torch",
    "lightning",
    "transformers",
    "peft",
    "torchmetrics",
    "albumentations",
    "numpy",
    "omegaconf",
)


def new_run(runs: Path, experiment: str) -> Path:
    """Make the next folder ``<runs>/<experiment>/<n>``; two runs that start at once get different numbers.

    Raises:
        RunError: the folder cannot be made.
    """
    home = runs / experiment
    try:
        home.mkdir(parents=True, exist_ok=True)
        number = max((int(one.name) for one in home.iterdir() if one.name.isdecimal()), default=0) + 1
        while True:
            try:
                (home / str(number)).mkdir()
                return home / str(number)
            except FileExistsError:
                number += 1
    except OSError as error:
        raise RunError(
            f"no run folder can be made in {home} ({error.strerror}): set runs_dir to another place"
        ) from None


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a mapping as JSON, NaN (an AU without support) as null."""
    clean = {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in values.items()
    }
    write_text(path, json.dumps(clean, indent=1, ensure_ascii=False) + "\n")


def is_finished(run: Path) -> bool:
    """Whether a run was fitted to its end, or imported: only then is there something to test.

    Raises:
        RunError: its result.json is damaged.
    """
    if "imported" in _known(run / "fingerprint.json"):
        return True
    return FINISHED in known_result(run)


def known_result(run: Path) -> dict[str, Any]:
    """What stands in ``result.json``; nothing if there is none.

    Raises:
        RunError: the file is there, but is no table of values in JSON.
    """
    return _known(run / RESULT)


def update_result(run: Path, values: Mapping[str, Any]) -> None:
    """Add values to ``result.json``; older ones stay unless they have the same key.

    Raises:
        RunError: the file is there, but is no table of values in JSON.
    """
    path = run / RESULT
    write_json(path, {**_known(path), **values})


def _known(path: Path) -> dict[str, Any]:
    """What a JSON file holds; nothing if there is none."""
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:  # no JSON, or no UTF-8
        raise RunError(f"{path} is no JSON ({error}): delete it and test again") from None
    if not isinstance(known, dict):
        raise RunError(f"{path} holds no names and values: delete it and test again")
    return known


def versions() -> dict[str, str]:
    """What the run was computed with."""
    found = {name: metadata.version(name) for name in LIBRARIES}
    here = {"python": platform.python_version(), "machine": platform.platform(), "cpus": str(os.cpu_count())}
    return here | found
