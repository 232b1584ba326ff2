"""What the verbs of the command line do with a run: fit it, score it, ask it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from lightning import Trainer, seed_everything

from aullava.answer_records import keep_test, keep_validation
from aullava.baselines import Baselines
from aullava.batch_size import with_fitting_batch
from aullava.build import (
    build_collator,
    build_model,
    build_module,
    build_trainer,
    chosen_by,
    training_callbacks,
)
from aullava.config.changes import flat
from aullava.config.load import Resolved, resolve
from aullava.config.rules import SHARDED
from aullava.config.schema import Config
from aullava.config.show import save
from aullava.dataset_findings import keep_findings
from aullava.evaluation.choice import BEST, LAST
from aullava.kept_features import keep_features
from aullava.models.vision import ImagePreprocessor
from aullava.parts import fresh_parts, ready_data
from aullava.probe_files import KeptProbes, save_probes
from aullava.resumption import for_this_world, refuse_another_run
from aullava.score_tables import score_tables
from aullava.training.callbacks.checkpoints import choose
from aullava.training.callbacks.go_on import GoOn
from aullava.training.callbacks.hparams import log_final
from aullava.training.checkpoint import chosen_validation, load_weights, save_weights
from aullava.training.errors import RunError
from aullava.training.lost_loader import naming_lost_loaders
from aullava.training.module import AULightningModule
from aullava.training.processes import Processes, joined, threads_of
from aullava.training.run_folder import (
    EVENTS,
    RESULT,
    is_finished,
    new_run,
    update_result,
    versions,
    write_json,
    write_text,
)
from aullava.training.snapshots import newest_snapshot, remove_drafts
from aullava.training.strategies import refuse_machine
from aullava.vocabulary import vocabulary
from datamodules.mixture import Mixture

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # loader processes are forked after its first use


def fit(resolved: Resolved) -> Path:
    """Train a model into a new run folder.

    Returns:
        The folder, with config.yaml, overrides.txt, versions.json, fingerprint.json, result.json, what was
        answered about the validation people and the calibration that follows from it, the TensorBoard events
        and the trained weights.

    Raises:
        RunError: the run cannot begin; it leaves no folder behind then.
    """
    config = resolved.config
    started = time.monotonic()
    refuse_machine(config)
    with joined(config.strategy, config.trainer.accelerator) as processes:
        parts = fresh_parts(config, processes)
        if config.trainer.find_batch_size:
            resolved = with_fitting_batch(resolved, parts, processes)
            config = resolved.config
        data, module = parts.data, parts.module
        made = new_run(Path(config.runs_dir), config.experiment) if processes.writes else Path()
        run = processes.told(made)
        if processes.writes:
            _record(resolved, data, run)
            print_parameters(module.model.parameter_report())
        images = config.data.batch_size * processes.size
        beside = training_callbacks(config, run, data.fingerprint(), images)
        _train(build_trainer(config, run, module.model, beside), module, data, config, processes)
        module = _reported(module, data, config, run, processes)
    return _finished(run, parts.data, module, config, processes, time.monotonic() - started)


def resume(run: Path, overrides: Sequence[str] = ()) -> Path:
    """Go on with a fit that was stopped, as if it never had been.

    Args:
        run: its folder.
        overrides: changes of its config; only of what learning does not hang on.

    Raises:
        RunError: there is no whole checkpoint, or it belongs to another config or to other data, or the
            number of processes cannot make up its steps.
    """
    started = time.monotonic()
    config = resolve(run / "config.yaml", overrides, vocabulary()).config
    refuse_machine(config)
    with joined(config.strategy, config.trainer.accelerator) as processes:
        if processes.writes:
            remove_drafts(run)
        snapshot = newest_snapshot(processes.told(run))
        refuse_another_run(snapshot, config, run)
        declared, config = config, for_this_world(snapshot, config, processes.size, run)
        data = ready_data(config, "fit", processes)
        if data.fingerprint() != snapshot.data:
            raise RunError(f"labels, codes or people are not those that {run} learned from: bring them back")
        data.load_state_dict(snapshot.sampler)
        model = build_model(config)
        model.load_trainable_state_dict(snapshot.weights)
        if processes.writes:
            save_weights(snapshot.weights, run)  # the checkpoint may be older than what was saved last
        module = build_module(config, model, build_collator(config, model), data)
        keep_features(config, module, data, processes)
        beside = training_callbacks(declared, run, snapshot.data, snapshot.images, snapshot.seconds)
        trainer = build_trainer(config, run, model, [GoOn(snapshot), *beside], snapshot.step + 1)
        if snapshot.step >= config.trainer.max_steps:
            _score(module, data, config, run, "val")
            module.rows_step = snapshot.step
            if processes.writes and chosen_by(config) != LAST:  # it was stopped before it looked at them
                choose(module, snapshot.weights, run, snapshot.step, chosen_by(config))
        else:
            print(f"{run} goes on after step {snapshot.step} of {config.trainer.max_steps}")
            _train(trainer, module, data, config, processes)
        module = _reported(module, data, config, run, processes)
    return _finished(run, data, module, declared, processes, snapshot.seconds + time.monotonic() - started)


def evaluate(run: Path, split: Literal["val", "test"], overrides: Sequence[str] = ()) -> str:
    """Score the weights of a run on its validation or test people; the scores join the run's result.json.

    Args:
        run: folder of the run.
        split: which people.
        overrides: changes of the run's config, as on the command line.

    Returns:
        What is printed: tables per Action Unit, for a test beside the baselines; nothing in a process that
        does not write.

    Raises:
        RunError: there is no fitted run to test, it has no weights, or others are asked for.
    """
    config = resolve(run / "config.yaml", overrides, vocabulary()).config
    if config.trainer.weights != resolve(run / "config.yaml", (), vocabulary()).config.trainer.weights:
        raise RunError("trainer.weights is decided when a run is fitted: leave it out")
    with joined(config.strategy, config.trainer.accelerator) as processes:
        if split == "test":  # not sooner: right after a fit the first process may still write
            refuse_unfinished(run)
        data = ready_data(config, split, processes)
        module = score(config, run, data, split)
    scores = dict(module.scores)
    if not processes.writes:
        return ""
    if split == "val":
        keep_validation(run, module.rows, data)
    else:
        scores |= keep_test(run, module.rows, data)
    if split == "test" and config.evaluation.baselines:
        preprocess = module.collator.preprocess
        assert isinstance(preprocess, ImagePreprocessor)
        baselines = Baselines(module.model.vision, preprocess)
        with threads_of(config.strategy.devices):
            scores |= baseline_scores(baselines, data)
        save_probes(run, baselines.probes)
    update_result(run, scores)
    keep_findings(data, run)
    return score_tables(run, data, scores, split)


def refuse_unfinished(run: Path) -> None:
    """Nobody is tested before weights, temperatures and thresholds are chosen.

    Raises:
        RunError: the run was not fitted to its end.
    """
    if not is_finished(run):
        raise RunError(
            f"{run} was not fitted to its end (it has no {run / RESULT} of a fit): go on with "
            f"`aullava resume {run}`, or look at its validation people with `aullava validate {run}`"
        )


def score(config: Config, run: Path, data: Mixture, split: Literal["val", "test"]) -> AULightningModule:
    """The module with the weights of a run, after it was asked about the people of `data`."""
    model = build_model(config)
    load_weights(model, run)
    reader = KeptProbes.of_run(run)
    module = build_module(config, model, build_collator(config, model), data, reader)
    _score(module, data, config, run, split)
    return module


def baseline_scores(baselines: Baselines, data: Mixture) -> dict[str, float]:
    """``baseline/<name>/<dataset>/<score>`` for every dataset."""
    found: dict[str, float] = {}
    for member in data.members:
        for name, scores in baselines.scores(member, member.loading.test_samples).items():
            found |= {f"baseline/{name}/{member.name}/{score}": value for score, value in scores.items()}
    return found


def print_parameters(report: dict[str, dict[str, int]]) -> None:
    """Say what is trained and what is frozen."""
    print(f"{'parameters':<12}{'total':>12}{'trainable':>12}{'frozen':>12}")
    for part, count in report.items():
        print(f"{part:<12}{count['total']:>12,}{count['trainable']:>12,}{count['frozen']:>12,}")


def _train(
    trainer: Trainer, module: AULightningModule, data: Mixture, config: Config, processes: Processes
) -> None:
    """Run the steps; every process draws other dropout. The module has the scores of the last validation.

    Raises:
        RunError: a loader process is gone; whatever else goes wrong says so itself.
    """
    if processes.rank > 0:
        seed_everything((config.seed + processes.rank) % 2**32, workers=True, verbose=False)
    with naming_lost_loaders(f"go on with `aullava resume {trainer.default_root_dir}`"):
        trainer.fit(module, datamodule=data)
        if module.rows_step != trainer.global_step:  # the last steps came after the last validation
            trainer.validate(module, datamodule=data, verbose=False)


def _reported(
    module: AULightningModule, data: Mixture, config: Config, run: Path, processes: Processes
) -> AULightningModule:
    """The module with the answers of the weights that the run reports.

    These need not be the last ones. PyTorch's older engine (fsdp) has not answered at all: whole copies do.
    """
    chosen = processes.told(chosen_validation(run) if processes.writes else None)
    step = config.trainer.max_steps if chosen is None else chosen.step
    if step == module.rows_step:
        return module
    if config.strategy.name in SHARDED:
        module = build_module(config, build_model(config), module.collator, data)
    load_weights(module.model, run)
    _score(module, data, config, run, "val")
    module.rows_step = step
    return module


def _score(module: AULightningModule, data: Mixture, config: Config, run: Path, split: str) -> None:
    """Answer for validation or test people; the scores are then the module's."""
    trainer = build_trainer(config, run, module.model)
    trainer.logger = None
    run_split = trainer.validate if split == "val" else trainer.test
    advice = "then ask again" if is_finished(run) else f"go on with `aullava resume {run}`"
    with naming_lost_loaders(advice):
        run_split(module, datamodule=data, verbose=False)


def _finished(
    run: Path,
    data: Mixture,
    module: AULightningModule,
    config: Config,
    processes: Processes,
    seconds: float,
) -> Path:
    """Write down the scores of a fit, its answers about validation people, and what was found in its data."""
    if not processes.writes:
        return run
    keep_validation(run, module.rows, data, always=True)
    chosen = chosen_validation(run)
    about: dict[str, Any] = {"weights_step": module.rows_step, "weights_by": LAST}
    if chosen is not None:
        about |= {"weights_by": chosen.by, "weights_score": chosen.score}
        print(f"weights: those of step {chosen.step}, the best by {_words(chosen.by)}: {chosen.score:.4f}")
    update_result(run, {**module.scores, **about, "seconds": round(seconds, 1)})
    log_final(run / EVENTS, flat(config), module.scores, module.rows_step)
    keep_findings(data, run)
    return run


def _words(by: str) -> str:
    return "the mean of the validation scores" if by == BEST else by


def _record(resolved: Resolved, data: Mixture, run: Path) -> None:
    """Write down what the run is before it starts."""
    save(resolved, run / "config.yaml")
    write_text(run / "overrides.txt", "".join(f"{line}\n" for line in resolved.overrides))
    write_json(run / "versions.json", versions())
    prints = {member.name: member.fingerprint() for member in data.members}
    crops = {member.name: member.crops.record() for member in data.members}
    write_json(
        run / "fingerprint.json",
        {"data": data.fingerprint(), **prints, "seed": resolved.config.seed, "crops": crops},
    )
