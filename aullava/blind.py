"""`aullava test RUN --blind`: what a run scores when every test face is shown the picture of another one.

A model that looks at the picture falls to what a constant answer scores; one that knows by heart how often
something is to be seen stays where it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aullava.config.load import resolve
from aullava.evaluation.tables import text_table
from aullava.jobs import refuse_unfinished, score
from aullava.parts import ready_data
from aullava.score_tables import METRICS, score_rows
from aullava.training.processes import joined
from aullava.training.run_folder import known_result, update_result
from aullava.vocabulary import vocabulary
from datamodules.base import AUDataModule

BLIND: Final = "blind"
"""Of the names of these scores in a result."""


def run_blind(run: Path, overrides: Sequence[str] = ()) -> str:
    """Test a run on shuffled pictures; scores join its result.json as ``blind/<dataset>/<score>``.

    Args:
        run: its folder.
        overrides: changes of the run's config, as on the command line.

    Returns:
        What is printed: tables beside the scores of an earlier test, if there was one, and its constants;
        nothing in a process that does not write.

    Raises:
        RunError: the run was not fitted to its end.
    """
    config = resolve(run / "config.yaml", overrides, vocabulary()).config
    with joined(config.strategy, config.trainer.accelerator) as processes:
        refuse_unfinished(run)
        data = ready_data(config, "test", processes)
        for number, dataset in enumerate(data.datasets):
            dataset.deal_out(dataset.rows("test"), config.seed + number)
        scores = score(config, run, data, "test").scores
    if not processes.writes:
        return ""
    update_result(run, {key.replace("test", BLIND, 1): value for key, value in scores.items()})
    known = {key: math.nan if value is None else value for key, value in known_result(run).items()}
    return "".join(_tables(known, member) for member in data.members)


def _tables(known: Mapping[str, float], member: AUDataModule) -> str:
    """The scores of one dataset: with its own pictures, with shuffled ones, and of constant answers."""
    own = {"own pictures": "test", "shuffled": BLIND}
    found = f"\n{member.name}: {member.coded_scale().value}\n"
    for metric in METRICS[member.coded_scale()]:
        found += "\n" + text_table(score_rows(known, member.name, metric, own), member.asked_aus, metric)
    return found
