"""Fake datasets on the command line: where each lies, and its options as overrides."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path

from datamodules import registry
from datamodules.options import DatasetSettings
from tests.datamodules.helpers import small

WITH_FILES = tuple(name for name in registry.BUILT_IN if not name.startswith("synthetic_"))
"""The registered datasets that read a user's files."""


def root_variable(name: str) -> str:
    """The environment variable that the shipped YAML of a dataset reads its root from."""
    return f"{name.upper()}_ROOT"


def overrides(name: str, settings: DatasetSettings) -> list[str]:
    """The root and options of a fake as the user would write them."""
    section = f"data.datasets.{name}"
    words = [f"{section}.root={json.dumps(str(settings.root))}"]
    options = asdict(settings.options) if is_dataclass(settings.options) else {}  # type: ignore[arg-type]
    words += [f"{section}.options.{key}={json.dumps(value)}" for key, value in options.items()]
    if settings.protocol is not None:
        words.append(f"{section}.protocol={settings.protocol}")
    return words


def written(names: Sequence[str], home: Path) -> list[str]:
    """Write the small fakes of some datasets below `home`.

    Returns:
        The overrides that an experiment on them needs, face detection off: few of these pictures show faces.
    """
    words = []
    for name in names:
        words += overrides(name, small(name, home / name))
        words.append(f"data.datasets.{name}.faces.align=whole")
    return words


def quick(home: Path) -> list[str]:
    """Overrides that make any experiment a matter of seconds."""
    words = [f"runs_dir={home / 'runs'}", "trainer.max_steps=1", "trainer.accelerator=cpu"]
    words += ["data.batch_size=2", "trainer.val_samples=2", "trainer.precision=32-true"]
    return [*words, "evaluation.test_samples=3", "evaluation.baselines=false"]
