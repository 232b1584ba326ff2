"""What the verbs of the command line do with a run: fit it, score it, ask it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lightning import seed_everything

from aullava.baselines import Baselines
from aullava.build import (
    build_collator,
    build_data,
    build_model,
    build_module,
    build_trainer,
    training_callbacks,
)
from aullava.config.load import Resolved, resolve
from aullava.config.show import save
from aullava.models.vision import ImagePreprocessor
from aullava.probe_files import KeptProbes, save_probes
from aullava.resumption import refuse_another_run, refuse_another_world
from aullava.stages import start_weights
from aullava.text.collate import Collator
from aullava.training.callbacks.go_on import GoOn
from aullava.training.checkpoint import load_weights, save_weights
from aullava.training.errors import RunError
from aullava.training.run_folder import new_run, update_result, versions, write_json, write_text
from aullava.training.snapshots import newest_snapshot, remove_drafts
from aullava.vocabulary import vocabulary
from datamodules.mixture import Mixture

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # loader processes are forked after its first use


def fit(resolved: Resolved) -> Path:
    """Train a model into a new run folder.

    Returns:
        The folder, with config.yaml, overrides.txt, versions.json, fingerprint.json, result.json, the
        TensorBoard events and the trained weights.
    """
    config = resolved.config
    started = time.monotonic()
    seed_everything(config.seed, workers=True, verbose=False)
    data = build_data(config)
    data.prepare_data()
    data.setup("fit")
    model = build_model(config)
    collator = build_collator(config, model)
    start_weights(config, model, collator, data)
    module = build_module(config, model, collator, data)
    _try_questions(data, collator)
    run = new_run(Path(config.runs_dir), config.experiment)
    _record(resolved, data, run)
    print_parameters(model.parameter_report())
    trainer = build_trainer(config, run, training_callbacks(config, run, data.fingerprint()))
    trainer.fit(module, datamodule=data)
    update_result(run, {**module.scores, "seconds": round(time.monotonic() - started, 1)})
    return run


def resume(run: Path, overrides: Sequence[str] = ()) -> Path:
    """Go on with a fit that was stopped, as if it never had been.

    Args:
        run: its folder.
        overrides: changes of its config; only of what learning does not hang on.

    Raises:
        RunError: there is no whole checkpoint, or it belongs to another config, to other data or to another
            number of processes.
    """
    started = time.monotonic()
    config = resolve(run / "config.yaml", overrides, vocabulary()).config
    remove_drafts(run)
    snapshot = newest_snapshot(run)
    refuse_another_run(snapshot, config, run)
    seed_everything(config.seed, workers=True, verbose=False)
    data = build_data(config)
    data.prepare_data()
    data.setup("fit")
    if data.fingerprint() != snapshot.data:
        raise RunError(f"labels, codes or people are not those that {run} learned from: bring them back")
    data.load_state_dict(snapshot.sampler)
    model = build_model(config)
    model.load_trainable_state_dict(snapshot.weights)
    save_weights(model, run)  # the checkpoint may be older than what was saved last
    if snapshot.step >= config.trainer.max_steps:
        evaluate(run, "val", overrides)
        return run
    module = build_module(config, model, build_collator(config, model), data)
    beside = training_callbacks(config, run, snapshot.data, snapshot.seconds)
    trainer = build_trainer(config, run, [GoOn(snapshot), *beside], snapshot.step + 1)
    refuse_another_world(snapshot, trainer.world_size, run)
    print(f"{run} goes on after step {snapshot.step} of {config.trainer.max_steps}")
    trainer.fit(module, datamodule=data)
    seconds = snapshot.seconds + time.monotonic() - started
    update_result(run, {**module.scores, "seconds": round(seconds, 1)})
    return run


def evaluate(run: Path, split: Literal["val", "test"], overrides: Sequence[str] = ()) -> dict[str, float]:
    """Score the weights of a run on its validation or test people; the scores join the run's result.json.

    Args:
        run: folder of the run.
        split: which people.
        overrides: changes of the run's config, as on the command line.

    Returns:
        Flat names such as ``test/synthetic_bp4d/f1_macro`` to values, baselines among them for a test.
    """
    config = resolve(run / "config.yaml", overrides, vocabulary()).config
    seed_everything(config.seed, workers=True, verbose=False)
    data = build_data(config)
    data.prepare_data()
    data.setup(split)
    model = build_model(config)
    load_weights(model, run)
    collator = build_collator(config, model)
    module = build_module(config, model, collator, data, KeptProbes.of_run(run))
    trainer = build_trainer(config, run)
    trainer.logger = None
    if split == "val":
        trainer.validate(module, datamodule=data, verbose=False)
    else:
        trainer.test(module, datamodule=data, verbose=False)
    scores = dict(module.scores)
    if split == "test" and config.evaluation.baselines:
        preprocess = collator.preprocess
        assert isinstance(preprocess, ImagePreprocessor)
        baselines = Baselines(model.vision, preprocess)
        scores |= baseline_scores(baselines, data)
        save_probes(run, baselines.probes)
    update_result(run, scores)
    return scores


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


def _try_questions(data: Mixture, collator: Collator) -> None:
    """Ask about one face of every dataset, so that a run that cannot begin leaves no folder behind."""
    for member in data.members:
        collator([member.sample(member.rows("train")[0])])


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
