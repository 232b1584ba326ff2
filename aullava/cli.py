"""The command line `aullava`: what each verb does, and one line for whatever the user got wrong.

Imports nothing heavy. What a verb needs is imported when it runs, after its words have been checked.
"""

from __future__ import annotations

import argparse
import glob
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aullava import dataset_verbs, launch
from aullava.arguments import DTYPES, UsageError, build_parser
from aullava.config.words import hint

if TYPE_CHECKING:
    from aullava.config.schema import Config

EXIT_BUG, EXIT_USER, EXIT_INTERRUPTED, EXIT_PIPE = 1, 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: the words behind `aullava`; None takes those of the process.

    Returns:
        The exit code: 0, 2 after a mistake of the user (one line on stderr), 130 after Ctrl-C, 141 when
        nobody reads, 143 after a signal to stop a fit, when all is saved.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    launch.end_with_parent()
    try:
        return _run(words)
    except BrokenPipeError:  # the reader of a pipe (`| head`) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as left:  # Lightning leaves so after Ctrl-C
        if isinstance(left.__context__, KeyboardInterrupt):
            return _interrupted()
        raise
    except Exception as error:
        if not getattr(type(error), "for_user", False):
            if launch.leave_note(traceback.format_exc()):
                return EXIT_BUG
            raise
        if not launch.leave_note(f"aullava: {_sentence(error)}"):
            print(f"aullava: {_sentence(error)}", file=sys.stderr)
        return int(getattr(error, "exit_code", EXIT_USER))


def _interrupted() -> int:
    if not launch.leave_note("aullava: interrupted"):
        print("aullava: interrupted", file=sys.stderr)
    return EXIT_INTERRUPTED


def _sentence(error: Exception) -> str:
    """What an error says, in one line; out of a loader process it comes with a traceback in front of it."""
    text, name = str(error), f"{type(error).__name__}: "
    return " ".join((text.rpartition(name)[2] if "Original Traceback" in text else text).split())


def _run(words: list[str]) -> int:
    parser = build_parser()
    if not words:
        parser.print_help(sys.stderr)
        return EXIT_USER
    if not words[0].startswith("-") and words[0] not in VERBS:
        raise UsageError(f"there is no verb '{words[0]}', {hint(words[0], list(VERBS))}")
    arguments, rest = parser.parse_known_args(words)
    # argparse gives up on KEY=VALUE words that stand behind an option.
    if any(word.startswith("-") or "overrides" not in arguments for word in rest):
        raise UsageError(f"unrecognized arguments: {' '.join(rest)} (see `aullava {arguments.verb} --help`)")
    if rest:
        arguments.overrides += rest
    arguments.words = words
    return VERBS[arguments.verb](arguments)


def _fit(arguments: argparse.Namespace) -> int:
    from aullava.config.load import resolve
    from aullava.vocabulary import vocabulary

    resolved = resolve(arguments.experiment, arguments.overrides, vocabulary())
    if launch.needed(resolved.config.strategy):
        return launch.run_processes(resolved.config.strategy.devices, arguments.words)
    if arguments.profile:
        from aullava.profiling import profile

        print(profile(resolved))
        return 0
    from aullava.jobs import fit

    print(f"run: {fit(resolved)}")
    return 0


def _resume(arguments: argparse.Namespace) -> int:
    strategy = _check_run(arguments.run, arguments.overrides).strategy
    if launch.needed(strategy):
        return launch.run_processes(strategy.devices, arguments.words)
    from aullava.jobs import resume

    print(f"run: {resume(arguments.run, arguments.overrides)}")
    return 0


def _validate(arguments: argparse.Namespace) -> int:
    return _score(arguments, "val")


def _test(arguments: argparse.Namespace) -> int:
    elsewhere = any(word.startswith("data=") for word in arguments.overrides)
    if arguments.blind and elsewhere:
        raise UsageError("--blind asks about the run's own test people: leave data=NAME out")
    if not elsewhere:
        return _score(arguments, "test")
    _check_run(arguments.run, ())
    from aullava.config.load import resolve_elsewhere
    from aullava.vocabulary import vocabulary

    found = resolve_elsewhere(arguments.run / "config.yaml", arguments.overrides, vocabulary())
    strategy = found.config.strategy
    if launch.needed(strategy):
        return launch.run_processes(strategy.devices, arguments.words)
    from aullava.elsewhere import run_elsewhere

    print(run_elsewhere(arguments.run, arguments.overrides), end="")
    return 0


def _score(arguments: argparse.Namespace, split: Literal["val", "test"]) -> int:
    strategy = _check_run(arguments.run, arguments.overrides).strategy
    if launch.needed(strategy):
        return launch.run_processes(strategy.devices, arguments.words)
    if split == "test" and arguments.blind:
        from aullava.blind import run_blind

        print(run_blind(arguments.run, arguments.overrides), end="")
        return 0
    from aullava.jobs import evaluate

    print(evaluate(arguments.run, split, arguments.overrides), end="")
    return 0


def _predict(arguments: argparse.Namespace) -> int:
    _check_run(arguments.run, ())
    formats = _formats(arguments.formats)
    aus = None if arguments.aus is None else tuple(_unit(word) for word in arguments.aus.split(","))
    beside = [word for word in ("overlays", "parquet", "openface", "resume") if getattr(arguments, word)]
    if beside and arguments.out is None:
        raise UsageError(f"--{beside[0]} writes beside the table: give --out DIR too")
    if arguments.devices > 1 and arguments.out is None:
        raise UsageError("several devices write a table: give --out DIR too")
    if arguments.devices > 1 and arguments.device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {arguments.device} is one device: with --devices write cpu or cuda")
    for word in arguments.inputs:
        if not glob.has_magic(word) and not Path(word).exists():
            raise UsageError(f"there is no image {word}: give pictures, videos, folders or stores")
    from aullava.config.schema import StrategyConfig

    if launch.needed(StrategyConfig("ddp", arguments.devices)):
        return launch.run_processes(arguments.devices, arguments.words)
    from aullava.prediction import Wanted, predict

    names = {field.name for field in fields(Wanted)} - {"formats", "aus"}
    chosen = {name: value for name, value in vars(arguments).items() if name in names}
    for path in predict(arguments.run, arguments.inputs, Wanted(formats, aus, **chosen)):
        print(f"written: {path}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    _check_run(arguments.run, ())
    if arguments.images and not arguments.verify:
        raise UsageError("--images are compared on, so --verify N must say how many")
    for image in arguments.images:
        if not image.is_file():
            raise UsageError(f"there is no image {image}: give the files of pictures")
    from aullava.exporting import export

    dtype = None if arguments.dtype is None else DTYPES[arguments.dtype]
    print("\n".join(export(arguments.run, arguments.to, dtype, arguments.verify, arguments.images)))
    return 0


def _import(arguments: argparse.Namespace) -> int:
    if arguments.experiment is not None:
        from aullava.config.load import resolve
        from aullava.vocabulary import vocabulary

        resolve(arguments.experiment, arguments.overrides, vocabulary())  # a typo, before torch loads
    from aullava.importing import import_folder

    run = import_folder(arguments.folder, arguments.adapter, arguments.experiment, arguments.overrides)
    print(f"run: {run}")
    return 0


def _models(arguments: argparse.Namespace) -> int:
    from aullava.models.fetched import FETCHED, fetched, fetched_folder

    if arguments.action is None:
        for one in FETCHED.values():
            state = "here" if fetched_folder(one.name).is_dir() else "not here"
            print(f"{one.name:<14}{state:<10}{one.licence:<12}{one.about}")
        return 0
    if not arguments.names:
        raise UsageError(f"which model? write `aullava models fetch {' '.join(FETCHED)}`")
    chosen = [fetched(name).name for name in arguments.names]  # refuses before anything is downloaded
    from aullava.models.fetch import fetch

    for name in chosen:
        print(f"{name}: {fetch(name)}")
    return 0


def _config(arguments: argparse.Namespace) -> int:
    from aullava.config.load import resolve
    from aullava.config.show import render
    from aullava.vocabulary import vocabulary

    resolved = resolve(arguments.experiment, arguments.overrides, vocabulary())
    if not arguments.memory:
        print(render(resolved), end="")
        return 0
    from aullava.memory_report import memory_report

    print(memory_report(resolved.config))
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    if len(arguments.files) < 2:
        raise UsageError("give two files of predictions or more: aullava compare A.csv B.csv --labels L.csv")
    if arguments.draws < 1 or not 0 < arguments.level_from <= 5:
        raise UsageError("--draws must be 1 or more, and --level-from above 0 and at most 5")
    for path in (*arguments.files, arguments.labels):
        if not path.is_file():
            raise UsageError(f"there is no file {path}: give the names of CSV files")
    aus = None if arguments.aus is None else [word.strip() for word in arguments.aus.split(",")]
    from aullava.comparison import run_compare
    from aullava.evaluation.compare import Rule

    level, first = arguments.level_from, arguments.first_frame
    rule = Rule(level, first, arguments.common, arguments.draws, arguments.seed)
    print(run_compare(arguments.files, arguments.labels, aus, arguments.scale, rule, arguments.out), end="")
    return 0


def _crossval(arguments: argparse.Namespace) -> int:
    from aullava.config.load import resolve
    from aullava.vocabulary import vocabulary

    resolve(arguments.experiment, arguments.overrides, vocabulary())  # refuse a typo before torch loads
    from aullava.crossval import run_crossval

    words = arguments.overrides, arguments.out, arguments.allow_mixed, arguments.beside, arguments.jobs
    print(run_crossval(arguments.experiment, *words), end="")
    return 0


def _subgroups(arguments: argparse.Namespace) -> int:
    _check_run(arguments.run, ())
    from aullava.subgroup_tables import run_subgroups

    print(run_subgroups(arguments.run, arguments.by, arguments.people, arguments.draws), end="")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    for run in arguments.runs:
        _check_run(run, ())
    from aullava.report import run_report

    print(f"written: {run_report(arguments.runs, arguments.out)}")
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from aullava.config.fragments import EXPERIMENTS
    from aullava.config.load import resolve
    from aullava.vocabulary import vocabulary

    resolved = resolve(EXPERIMENTS / "demo.yaml", arguments.overrides, vocabulary())
    if launch.needed(resolved.config.strategy):
        return launch.run_processes(resolved.config.strategy.devices, arguments.words)
    from aullava.demo import run_demo

    return run_demo(arguments.overrides)


VERBS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "fit": _fit,
    "resume": _resume,
    "validate": _validate,
    "test": _test,
    "predict": _predict,
    "export": _export,
    "import": _import,
    "models": _models,
    "config": _config,
    "datasets": dataset_verbs.datasets,
    "prepare": dataset_verbs.prepare,
    "compare": _compare,
    "crossval": _crossval,
    "subgroups": _subgroups,
    "report": _report,
    "demo": _demo,
}


def _check_run(run: Path, overrides: Sequence[str]) -> Config:
    """The config of a run; a folder that is none and overrides that it does not take are refused early."""
    from aullava.config.load import resolve
    from aullava.vocabulary import vocabulary

    if not (run / "config.yaml").is_file():
        beside = [file.parent for folder in (run, run.parent) for file in folder.glob("*/config.yaml")]
        known = sorted(map(str, beside))
        more = hint(str(run), known) if known else "`aullava fit EXPERIMENT` makes one"
        raise UsageError(f"{run} is not the folder of a run (it has no config.yaml), {more}")
    return resolve(run / "config.yaml", overrides, vocabulary()).config


def _formats(text: str | None) -> tuple[str, ...] | None:
    """`presence,level` as its words; None when the user leaves the choice to the run."""
    from datamodules.action_units import Scale

    if text is None:
        return None
    words = tuple(word.strip() for word in text.split(","))
    for word in words:
        if word not in list(Scale):
            raise UsageError(f"there is no answer format '{word}', {hint(word, list(Scale))}")
    return words


def _unit(word: str) -> str:
    """The code of one Action Unit, which may be written as 12 too."""
    from datamodules.action_units import codes

    code = word.strip().upper()
    code = f"AU{code}" if code[:1].isdigit() else code
    if code not in codes():
        raise UsageError(f"there is no Action Unit '{word.strip()}', {hint(code, codes())}")
    return code
