"""What a run is made of, ready to begin: data, model, questions; one process of several makes the start."""

from __future__ import annotations

from dataclasses import dataclass

from lightning import seed_everything

from aullava.build import build_collator, build_data, build_model, build_module
from aullava.config.schema import Config
from aullava.dataset_findings import tell_findings
from aullava.kept_features import keep_features
from aullava.run_checks import refuse_few_faces, refuse_long_questions, refuse_unknown_choice
from aullava.stages import start_weights
from aullava.text.collate import Collator
from aullava.training.module import AULightningModule
from aullava.training.processes import Processes
from datamodules.mixture import Mixture


@dataclass(frozen=True, slots=True)
class Parts:
    """Data and module of one run."""

    data: Mixture
    module: AULightningModule


def ready_data(config: Config, stage: str, processes: Processes) -> Mixture:
    """Seeds set and labels read; one process of a machine reads them first and fills the caches.

    Args:
        config: of the run.
        stage: "fit", "val" or "test".
        processes: of the job.
    """
    seed_everything(config.seed, workers=True, verbose=False)
    data = build_data(config)
    with processes.one_first():
        data.prepare_data()
        data.setup(stage)
    return data


def fresh_parts(config: Config, processes: Processes) -> Parts:
    """All that a new fit needs, the same in every process; nothing is written.

    Raises:
        RunError: a batch is larger than a dataset, or weights shall be chosen by a score that is not there.
        ContextLengthError: a question is too long.
    """
    data = ready_data(config, "fit", processes)
    if processes.writes:
        tell_findings(data)
    refuse_few_faces(data, config.data.batch_size, processes.size)
    model = build_model(config)
    collator = build_collator(config, model)
    refuse_long_questions(data, collator)
    start_weights(config, model, collator, data, processes)
    processes.same(model.trainable_state_dict())
    module = build_module(config, model, collator, data)
    refuse_unknown_choice(config.trainer.weights, module.datasets)
    _try_questions(data, collator)
    keep_features(config, module, data, processes)
    return Parts(data, module)


def _try_questions(data: Mixture, collator: Collator) -> None:
    """Ask about one face of every dataset, so that a run that cannot begin leaves no folder behind."""
    for member in data.members:
        collator([member.sample(member.rows("train")[0])])
