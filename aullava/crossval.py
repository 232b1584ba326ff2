"""`aullava crossval`: every fold of a protocol fitted and tested, and their table.

A fold that is done is not done again; one that was stopped goes on where it was. The folds run one after the
other, or with `--jobs N` at most N at a time, each in a process of its own and, where there are several GPUs,
on one of its own. With several devices each fold has processes of its own too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import torch

from aullava.answer_records import is_tested, kept_answers
from aullava.build import build_data
from aullava.config.changes import changes, flat
from aullava.config.command_line import GROUPS
from aullava.config.load import Resolved, resolve
from aullava.config.schema import Config
from aullava.crossval_files import write_tables
from aullava.crossval_table import CrossValidation, read_beside, told
from aullava.evaluation.answer_table import AnswerTable
from aullava.evaluation.calibration import UnitCalibration, read_calibration
from aullava.evaluation.errors import ResultError
from aullava.fold_processes import FoldProcesses
from aullava.jobs import evaluate, fit, resume
from aullava.training.checkpoint import WEIGHTS
from aullava.training.run_folder import CHECKPOINTS, is_finished
from aullava.vocabulary import vocabulary


@dataclass(frozen=True, slots=True)
class Wanted:
    """A cross-validation as it was asked for.

    Attributes:
        experiment: the file.
        overrides: behind it on the command line.
        out: folder of the folds and tables.
        jobs: how many folds run at a time; 1: one after the other, in this process if one device is enough.
    """

    experiment: Path
    overrides: tuple[str, ...]
    out: Path
    jobs: int = 1

    def fold(self, number: int, datasets: Sequence[str]) -> Resolved:
        """The config of one fold; its run goes to `<out>/fold<number>/<n>`."""
        return resolve(self.experiment, self.words(number, datasets), vocabulary())

    def words(self, number: int, datasets: Sequence[str]) -> list[str]:
        """The overrides of one fold."""
        folds = [f"data.datasets.{name}.fold={number}" for name in datasets]
        return [*self.overrides, *folds, f"runs_dir={self.out}", f"experiment=fold{number}"]


def run_crossval(
    experiment: Path,
    overrides: Sequence[str],
    out: Path | None,
    allow_mixed: bool = False,
    beside: Sequence[Path] = (),
    jobs: int = 1,
) -> str:
    """Fit and test all folds of an experiment that are not done yet, and make their tables.

    Args:
        experiment: the file.
        overrides: as on the command line.
        out: folder of the folds and tables; None: ``<runs_dir>/<experiment>/crossval``.
        allow_mixed: set results of other terms into the table too, with the difference on it.
        beside: folders of other cross-validations to set beside.
        jobs: how many folds to run at a time.

    Returns:
        What is printed: a table per dataset and metric, with its fingerprint.

    Raises:
        ResultError: the protocol has one fold, folds of another config are in the folder, several folds
            at a time would want several devices each, or results of other terms cannot share a table.
        EmptyDatasetError: a fold has nobody to train on, to validate or to test.
        RunError: a fold cannot be fitted or tested, or a signal stopped it.
    """
    resolved = resolve(experiment, overrides, vocabulary())
    config = resolved.config
    home = out or Path(config.runs_dir) / config.experiment / "crossval"
    if jobs > 1 and config.strategy.devices * config.strategy.nodes > 1:
        raise ResultError("--jobs is for folds on one device each: leave it, or write strategy=single")
    for folder in beside:
        read_beside(folder)  # so that a mistyped one is not found after the last fold
    wanted = Wanted(experiment, tuple(overrides), home, jobs)
    count, datasets = _folds(resolved)
    with FoldProcesses() if _apart(wanted, config) else nullcontext() as processes:
        runs = _all_done(wanted, count, datasets, processes)
    found = CrossValidation.of(_tables(runs), _calibrations(runs), beside, allow_mixed)
    write_tables(found, home)
    return told(found) + f"written: {home / 'crossval.txt'}, .md, .tex, .csv, .json\n"


def _folds(resolved: Resolved) -> tuple[int, list[str]]:
    """How many folds there are, and the datasets whose folds they are."""
    data = build_data(resolved.config)
    data.prepare_data()
    data.setup("fit")
    counts = {}
    for one in data.datasets:
        protocol = one.protocol(one.settings.protocol or one.protocols[0], one.index.people())
        for number in range(1, len(protocol.folds) + 1):
            protocol.split(one.index.people(), number)  # an empty fold is refused now, not days later
        counts[one.name] = len(protocol.folds)
    several = {name: count for name, count in counts.items() if count > 1}
    said = ", ".join(f"{name} {count}" for name, count in counts.items())
    if not several:
        raise ResultError(f"there is one fold only ({said}): use `aullava fit` and `aullava test`")
    if len(set(several.values())) > 1:
        raise ResultError(f"the datasets have different numbers of folds ({said}): cross-validate them apart")
    return next(iter(several.values())), list(several)


def _apart(wanted: Wanted, config: Config) -> bool:
    """Whether folds run in processes of their own."""
    return wanted.jobs > 1 or config.strategy.devices > 1


def _all_done(
    wanted: Wanted, count: int, datasets: Sequence[str], processes: FoldProcesses | None
) -> dict[int, Path]:
    """The tested run of every fold. One that fails lets those that run end; those that wait do not begin."""
    places = SimpleQueue[int]()
    for place in range(wanted.jobs):
        places.put(place)

    def one(number: int) -> Path:
        place = places.get()
        try:
            if processes is not None:
                processes.refuse_to_begin()
            print(f"fold {number} of {count}", flush=True)
            return _done(wanted, number, datasets, processes, _gpu(place) if wanted.jobs > 1 else None)
        finally:
            places.put(place)

    numbers = range(1, count + 1)
    if wanted.jobs == 1:
        return {number: one(number) for number in numbers}
    with ThreadPoolExecutor(wanted.jobs) as pool:
        try:
            return dict(zip(numbers, pool.map(one, numbers), strict=True))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _done(
    wanted: Wanted, number: int, datasets: Sequence[str], processes: FoldProcesses | None, gpu: str | None
) -> Path:
    """The tested run of one fold; whatever of it is missing is done now, in other processes if there are."""
    resolved, words = wanted.fold(number, datasets), wanted.words(number, datasets)
    home = wanted.out / f"fold{number}"
    run = _last_run(home, resolved)
    if run is None and processes is None:
        run = fit(resolved)
    elif run is None and processes is not None:
        processes.run("fit", str(wanted.experiment), *words, gpu=gpu)
        run = home / str(_numbers(home)[-1])
    assert run is not None
    if not is_finished(run):
        settings = [word for word in words if word.partition("=")[0] not in GROUPS]
        resume(run, settings) if processes is None else processes.run("resume", str(run), *settings, gpu=gpu)
    elif is_tested(run):
        print(f"  {run} is there already")
        return run
    evaluate(run, "test") if processes is None else processes.run("test", str(run), gpu=gpu)
    return run


def _last_run(home: Path, resolved: Resolved) -> Path | None:
    """The run of a fold that is there already; None: none, or none that can go on."""
    numbers = _numbers(home)
    if not numbers:
        return None
    run = home / str(numbers[-1])
    if not (run / "config.yaml").is_file():
        return None
    before = resolve(run / "config.yaml", (), vocabulary()).config
    found = changes(flat(before), resolved.config)
    if found:
        said = ", ".join(f"{key} was {then} and is now {now}" for key, (then, now) in found.items())
        raise ResultError(f"{run} is a fold of another experiment ({said}): give another --out")
    trained = (run / WEIGHTS).is_file() or any((run / CHECKPOINTS).glob("*.ckpt"))
    return run if trained else None


def _numbers(home: Path) -> list[int]:
    """Of the runs of a fold, the newest last."""
    return sorted(int(one.name) for one in home.glob("*") if one.name.isdecimal())


def _gpu(place: int) -> str | None:
    """The GPU of one of several folds at a time, as CUDA_VISIBLE_DEVICES has it; None: there is no choice."""
    if torch.cuda.device_count() < 2:
        return None
    names = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    names = names or [str(number) for number in range(torch.cuda.device_count())]
    return names[place % len(names)]


def _tables(runs: Mapping[int, Path]) -> dict[str, dict[int, AnswerTable]]:
    """Dataset -> fold -> answers."""
    found: dict[str, dict[int, AnswerTable]] = {}
    for number, run in runs.items():
        for name, table in kept_answers(run, "test").items():
            found.setdefault(name, {})[number] = table
    return found


def _calibrations(runs: Mapping[int, Path]) -> dict[str, dict[int, dict[str, UnitCalibration]]]:
    """Dataset -> fold -> calibration, where there is one."""
    found: dict[str, dict[int, dict[str, UnitCalibration]]] = {}
    for number, run in runs.items():
        for name, units in read_calibration(run).items():
            found.setdefault(name, {})[number] = units
    return found
