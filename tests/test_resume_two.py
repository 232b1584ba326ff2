"""Two processes that are stopped go on as if they never had been, whichever of them is hit."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aullava.training.checkpoint import BEST, WEIGHTS
from tests.recorded_fit import Batch, children, finish, of_rank, records, start, stop_after, surviving
from tests.tiny_runs import small

pytestmark = pytest.mark.slow

DATASETS = ("synthetic_bp4d", "synthetic_disfa")
STEPS, EVERY = 16, 2
RUN = Path("runs") / "demo" / "1"


def _words(home: Path, strategy: str = "ddp", dropout: float = 0.2) -> list[str]:
    """A fit in two processes with what is hard to resume."""
    (home / "two.yaml").write_text(
        "extends: [base, data/synthetic_bp4d, data/synthetic_disfa, model/tiny]\nexperiment: demo\n"
    )
    words = [*small(home, STEPS, DATASETS), f"trainer.save_every={EVERY}", "trainer.accumulate=2"]
    words += [f"strategy={strategy}", "data.num_workers=1", f"adapter.dropout={dropout}"]
    words += ["trainer.val_every=9", "trainer.val_samples=2"]
    words += [f"data.datasets.{name}.options.faces_per_person=32" for name in DATASETS]
    return ["fit", str(home / "two.yaml"), *words]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a run that nobody stopped."""
    home = tmp_path_factory.mktemp("whole")
    finish(home / "record", *_words(home))
    return home


def _histories(home: Path) -> list[list[Batch]]:
    return [surviving(of_rank(home / "record", rank)) for rank in range(2)]


def _same_end(home: Path, whole: Path) -> None:
    assert _histories(home) == _histories(whole)
    for weights in (WEIGHTS, BEST):
        mine, wanted = load_file(home / RUN / weights), load_file(whole / RUN / weights)
        assert [name for name in wanted if not torch.equal(mine[name], wanted[name])] == []


def test_the_processes_learn_from_different_faces(whole: Path) -> None:
    ids = [name for history in _histories(whole) for batch in history[::2] for name in batch.ids]
    assert len(ids) == len(set(ids)) == STEPS * 2 * 2  # one of the two datasets, two faces, two processes


def test_random_kills_of_any_process_leave_every_sample_once(whole: Path, tmp_path: Path) -> None:
    chance = random.Random(6)
    words = _words(tmp_path)
    for rank in (1, 0, None, 1, 0):
        batches = chance.randint(2 * EVERY, 3 * EVERY)
        said = stop_after(tmp_path / "record", batches, signal.SIGKILL, *words, rank=rank)
        if rank is not None:
            assert f"aullava: process {rank} of 2 was ended by SIGKILL (was there enough memory?)" in said
            assert "Traceback" not in said
        words = ["resume", str(tmp_path / RUN)]
    finish(tmp_path / "record", *words)
    _same_end(tmp_path, whole)


@pytest.mark.parametrize(
    ("number", "rank"), [(signal.SIGTERM, 1), (signal.SIGUSR1, 0), (signal.SIGTERM, None)]
)
def test_a_signal_to_any_process_stops_all_at_the_same_step(
    number: signal.Signals, rank: int | None, whole: Path, tmp_path: Path
) -> None:
    said = stop_after(tmp_path / "record", 9, number, *_words(tmp_path), rank=rank)
    assert said.count("all is saved, go on with `aullava resume") == 1
    assert "Traceback" not in said
    lengths = {len(records(of_rank(tmp_path / "record", rank))) for rank in range(2)}
    assert len(lengths) == 1
    finish(tmp_path / "record", "resume", str(tmp_path / RUN))
    assert len(records(tmp_path / "record")) == STEPS * 2  # no batch was learned twice
    _same_end(tmp_path, whole)


def test_a_dead_loader_process_ends_all(tmp_path: Path) -> None:
    process = start(tmp_path / "record", *_words(tmp_path))
    while len(records(tmp_path / "record")) < 6 and process.poll() is None:
        time.sleep(0.01)
    (worker, *_) = children(children(process.pid)[1])
    os.kill(worker, signal.SIGKILL)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert said.splitlines()[-1].startswith("aullava: a loader process was lost (")
    assert "Traceback" not in said


def _losses(home: Path) -> torch.Tensor:
    """Of all batches; each process notes its part of a mean over all tokens, times the processes."""
    files = [of_rank(home / "record", rank) for rank in range(2)]
    found: dict[int, list[float]] = {}
    for file in files:
        for number, batch in records(file):
            found.setdefault(number, []).append(float.fromhex(batch.loss))
    return torch.tensor([sum(found[number]) / len(found[number]) for number in sorted(found)])


ONE = ("strategy.name=single", "strategy.devices=1")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_one_process_goes_on_where_two_have_stopped_and_the_reverse(strategy: str, tmp_path: Path) -> None:
    homes = {name: tmp_path / name for name in ("whole", "less", "more")}
    for home in homes.values():
        home.mkdir()
    kind = {"ddp": "whole", "fsdp2": "sharded"}[strategy]
    words = {
        name: [*_words(home, strategy, dropout=0.0), f"trainer.checkpoint={kind}"]
        for name, home in homes.items()
    }
    finish(homes["whole"] / "record", *words["whole"])
    wanted = _losses(homes["whole"])
    stop_after(homes["less"] / "record", 9, signal.SIGTERM, *words["less"])
    stop_after(homes["more"] / "record", 9, signal.SIGTERM, *words["more"], *ONE, "data.batch_size=4")
    again = {"less": ONE, "more": (f"strategy.name={strategy}", "strategy.devices=2")}
    for name, changed in again.items():
        finish(homes[name] / "record", "resume", str(homes[name] / RUN), *changed)
        found = _losses(homes[name])
        assert len(found) == STEPS * 2
        assert torch.allclose(found, wanted, rtol=0, atol=1e-5)


def test_another_number_of_processes_that_learns_something_else_is_refused(tmp_path: Path) -> None:
    stop_after(tmp_path / "record", 5, signal.SIGTERM, *_words(tmp_path))
    said = finish(tmp_path / "record", "resume", str(tmp_path / RUN), *ONE, code=2)
    assert "was trained by 2 processes and would go on with 1, each drawing other dropout" in said
