"""The verbs of the command line that are about datasets and not about runs.

Imports nothing heavy, as `aullava.cli`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aullava.arguments import CHECK_WORDS, UsageError

if TYPE_CHECKING:
    from aullava.config.schema import DatasetConfig


def datasets(arguments: argparse.Namespace) -> int:
    """`aullava datasets`: list, describe, check, begin a new one, draw the contact sheet."""
    if arguments.sheet is not None:
        from datamodules.drawn_faces.sheet import write_sheet

        try:
            write_sheet(arguments.sheet)
        except OSError as error:
            raise UsageError(
                f"{arguments.sheet} cannot be written ({error.strerror}): name a file in a folder of yours"
            ) from None
        print(f"written: {arguments.sheet}")
        return 0
    if arguments.name == "check":
        return _check_dataset(arguments)
    if arguments.overrides:
        raise UsageError(f"unrecognized arguments: {arguments.overrides[0]} (see `aullava datasets --help`)")
    if idle := [word for word in CHECK_WORDS if getattr(arguments, word.replace("-", "_")) not in (None, 0)]:
        raise UsageError(f"--{idle[0]} belongs to `aullava datasets check NAME`: put `check` before the name")
    if arguments.name == "new":
        return _new_dataset(arguments)
    if arguments.target is not None:
        raise UsageError(f"unrecognized arguments: {arguments.target} (see `aullava datasets --help`)")
    from aullava.dataset_list import description, overview

    print(overview() if arguments.name is None else description(arguments.name))
    return 0


def _check_dataset(arguments: argparse.Namespace) -> int:
    if arguments.target is None:
        raise UsageError("which dataset is to be checked? write `aullava datasets check NAME --root DIR`")
    config = _originals(arguments.target, arguments)
    out = arguments.out or Path("checks") / arguments.target
    from aullava.dataset_check import run_check

    broken, said = run_check(arguments.target, config, out, not arguments.labels_only, arguments.workers)
    print(said)
    return 2 if broken else 0


def _originals(name: str, arguments: argparse.Namespace) -> DatasetConfig:
    """The config of a dataset whose originals are read, from the words of `check` or `prepare`."""
    from aullava.config.load import resolve_dataset
    from aullava.vocabulary import vocabulary
    from datamodules import registry

    config = resolve_dataset(name, arguments.overrides, vocabulary())
    root = config.root if arguments.root is None else str(arguments.root)
    holds = f"the folder that holds the files shown by `aullava datasets {name}`"
    if arguments.root is not None and not arguments.root.is_dir():
        raise UsageError(f"--root {root} is not a folder: give {holds}")
    if root is None and getattr(registry.load(name), "needs_root", True):
        raise UsageError(f"dataset '{name}' has no root: give --root DIR, {holds}")
    return replace(config, root=root, strict=config.strict or arguments.strict)


def _new_dataset(arguments: argparse.Namespace) -> int:
    from aullava.dataset_skeleton import next_steps, write_skeleton
    from datamodules.registry import names

    if arguments.target is None:
        raise UsageError("the new dataset has no name: write `aullava datasets new my_faces`")
    print(next_steps(write_skeleton(arguments.target, arguments.to, names())))
    return 0


def prepare(arguments: argparse.Namespace) -> int:
    """`aullava prepare`: cut out all faces of a dataset once."""
    from datamodules.faces import FaceFinder, FaceSettings

    names = [field.name for field in fields(FaceSettings)]
    faces = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    settings = FaceFinder(FaceSettings(**faces)).settings  # refuses an unknown detector before torch loads
    config = _originals(arguments.name, arguments)
    if config.root is not None and arguments.out.resolve().is_relative_to(Path(config.root).resolve()):
        raise UsageError(f"--out {arguments.out} lies inside the root {config.root}: give another folder")
    print(f"reading the labels of {arguments.name}", file=sys.stderr, flush=True)  # minutes, without a bar
    from aullava.prepare_faces import prepare_faces, told

    report = prepare_faces(
        arguments.name, config, arguments.out, settings, arguments.quality, arguments.workers
    )
    print(told(report))
    return 0
