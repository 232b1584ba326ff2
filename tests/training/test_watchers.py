"""Callbacks that look on: answers that are all the same, a run that gets nowhere, where the time goes."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from lightning import Trainer

from aullava.training.callbacks.collapse import AnswerCollapse
from aullava.training.callbacks.guards import names_of
from aullava.training.callbacks.profile import PARTS, StepProfile
from tests.checkpoints import Backbone
from tests.source_tree import REPOSITORY
from tests.training.learning import PRESENCE, batch_of, loader, module_of, prompts_of, trainer_of


@pytest.mark.parametrize(
    ("said", "true", "warned"),
    [(1.0, 14.0, True), (1.4, 3.5, True), (4.0, 14.0, False), (1.0, 2.0, False), (float("nan"), 9.0, False)],
)
def test_answers_that_are_all_the_same_are_noticed(
    said: float, true: float, warned: bool, backbone: Backbone, caplog: pytest.LogCaptureFixture
) -> None:
    module = module_of(backbone, 1)
    name = PRESENCE.name
    module.scores = {f"val/{name}/answer_diversity": said, f"val/{name}/label_diversity": true}
    trainer = cast(Trainer, SimpleNamespace(is_global_zero=True, sanity_checking=False, global_step=7))
    with caplog.at_level(logging.WARNING):
        AnswerCollapse().on_validation_end(trainer, module)
    assert (f"the answers about {name} are nearly all the same after step 7" in caplog.text) == warned


def test_the_scores_of_a_validation_are_what_it_looks_at(backbone: Backbone) -> None:
    module = module_of(backbone, 1)
    seen: list[dict[str, float]] = []

    class Look(AnswerCollapse):
        def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
            seen.append(pl_module.scores)
            super().on_validation_end(trainer, pl_module)

    loaders = [loader([prompts_of(module, asked, 3)]) for asked in module.datasets]
    trainer_of(1, [Look()]).validate(module, dataloaders=loaders, verbose=False)
    assert {f"val/{one.name}/answer_diversity" for one in module.datasets} <= seen[0].keys()
    assert {f"val/{one.name}/label_diversity" for one in module.datasets} <= seen[0].keys()


def test_the_parts_of_a_step_add_up(backbone: Backbone) -> None:
    module, watch = module_of(backbone, 4), StepProfile(skip=2)
    batches = [batch_of(module, PRESENCE, 3)] * 8
    trainer_of(4, [watch], accumulate_grad_batches=2).fit(module, train_dataloaders=loader(batches))
    assert (watch.batches, watch.images, watch.answers) == (6, 18, 18)
    assert set(watch.seconds) == set(PARTS)
    assert all(taken > 0 for taken in watch.seconds.values())
    assert watch.seconds["backward"] > watch.seconds["data wait"]  # the batches are ready
    assert not module.model.llm._forward_hooks


STUCK = """
import sys, time
from pathlib import Path
from lightning import Callback
from aullava.launch import say_at_last
from aullava.training.callbacks.watchdog import Watchdog
from tests.checkpoints import Backbone
from tests.training.learning import PRESENCE, batch_of, loader, module_of, trainer_of

class Hang(Callback):
    def on_before_backward(self, trainer, *_):
        if trainer.global_step == 2:
            time.sleep(600)

module = module_of(Backbone(*sys.argv[1:]), 5)
batches = [batch_of(module, PRESENCE, 2)] * 5
trainer_of(5, [Watchdog(2.0, say_at_last), Hang()]).fit(module, train_dataloaders=loader(batches))
"""


def test_a_run_that_gets_nowhere_ends_and_says_where(backbone: Backbone, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", STUCK, backbone.vision, backbone.llm],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    last = ran.stderr.splitlines()[-1]
    assert last.startswith("aullava: process 0 of 1 got nowhere for 2 seconds, in step 3, with the samples ")
    assert "presence-0-0, presence-0-1: look there" in last
    assert "on_before_backward" in ran.stderr  # the stack of the thread that hangs


def test_long_lists_of_names_are_cut() -> None:
    assert names_of(["a", "b"]) == "a, b"
    assert names_of([str(number) for number in range(12)]).endswith("6, 7 and 4 more")
