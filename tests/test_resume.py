"""A fit that was stopped goes on as if it never had been: the same samples, the same losses, bit for bit."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aullava.training.checkpoint import BEST, WEIGHTS
from tests.recorded_fit import finish, records, stop_after, surviving
from tests.tiny_runs import small

pytestmark = pytest.mark.slow

DATASETS = ("synthetic_bp4d", "synthetic_disfa")
STEPS, ACCUMULATE, EVERY = 26, 2, 3
RUN = Path("runs") / "demo" / "1"


def _words(home: Path) -> list[str]:
    """A fit with everything that is hard to resume: loader processes, accumulation, dropout, two datasets."""
    (home / "two.yaml").write_text(
        "extends: [base, data/synthetic_bp4d, data/synthetic_disfa, model/tiny]\nexperiment: demo\n"
    )
    words = [*small(home, STEPS, DATASETS), f"trainer.save_every={EVERY}", f"trainer.accumulate={ACCUMULATE}"]
    words += ["data.num_workers=2", "adapter.dropout=0.2", "trainer.val_every=15"]
    words += [f"data.datasets.{name}.options.faces_per_person=32" for name in DATASETS]
    return ["fit", str(home / "two.yaml"), *words]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a run that nobody stopped."""
    home = tmp_path_factory.mktemp("whole")
    finish(home / "record", *_words(home))
    return home


def _same_end(home: Path, whole: Path) -> None:
    assert surviving(home / "record") == surviving(whole / "record")
    for weights in (WEIGHTS, BEST):
        mine, wanted = load_file(home / RUN / weights), load_file(whole / RUN / weights)
        assert [name for name in wanted if not torch.equal(mine[name], wanted[name])] == []
    ours, theirs = (json.loads((one / RUN / "result.json").read_text()) for one in (home, whole))
    assert {k: v for k, v in ours.items() if k != "seconds"} == {
        k: v for k, v in theirs.items() if k != "seconds"
    }


def test_after_a_kill_the_next_losses_are_the_same_to_the_last_bit(whole: Path, tmp_path: Path) -> None:
    stop_after(tmp_path / "record", 27, signal.SIGKILL, *_words(tmp_path))
    before = len(records(tmp_path / "record"))
    finish(tmp_path / "record", "resume", str(tmp_path / RUN))
    again = records(tmp_path / "record")[before:]
    assert 0 < again[0][0] <= 30  # mid-run, not from the beginning
    assert again[0][0] % (ACCUMULATE * EVERY) == 0
    wanted = surviving(whole / "record")
    assert len(again) >= 20
    assert [batch for _, batch in again] == wanted[again[0][0] :]
    _same_end(tmp_path, whole)


def test_random_kills_leave_every_sample_once(whole: Path, tmp_path: Path) -> None:
    chance = random.Random(6)
    words = _words(tmp_path)
    for _ in range(5):
        stop_after(tmp_path / "record", chance.randint(EVERY * ACCUMULATE, 10), signal.SIGKILL, *words)
        words = ["resume", str(tmp_path / RUN)]
    finish(tmp_path / "record", *words)
    history = surviving(tmp_path / "record")
    ids = [name for batch in history for name in batch.ids]
    assert len(history) == STEPS * ACCUMULATE
    per_dataset = [name for batch in history[::2] for name in batch.ids]  # two datasets in turn
    assert len(set(per_dataset)) == len(per_dataset)  # all of them lie in one pass
    assert ids == [name for batch in surviving(whole / "record") for name in batch.ids]
    _same_end(tmp_path, whole)


@pytest.mark.parametrize(("number", "group"), [(signal.SIGTERM, True), (signal.SIGUSR1, False)])
def test_a_signal_saves_at_the_step(number: signal.Signals, group: bool, whole: Path, tmp_path: Path) -> None:
    words = _words(tmp_path)
    said = stop_after(tmp_path / "record", 27, number, *words, group=group)
    stopped = len(records(tmp_path / "record"))
    assert (
        f"aullava: stopped by {number.name} after step {stopped // ACCUMULATE}; all is saved, go on with "
        f"`aullava resume {tmp_path / RUN}`"
    ) in said
    finish(tmp_path / "record", "resume", str(tmp_path / RUN))
    assert len(records(tmp_path / "record")) == STEPS * ACCUMULATE  # no batch was learned twice
    assert surviving(tmp_path / "record") == surviving(whole / "record")
