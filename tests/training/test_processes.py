"""Threads of processes that share a machine."""

from __future__ import annotations

import pytest
import torch

from aullava.training.processes import threads_of


@pytest.mark.parametrize(
    ("own", "count", "cores", "wanted"), [(1, 2, 2, 2), (2, 2, 2, 2), (1, 4, 2, 2), (3, 2, 2, 3)]
)
def test_threads_of_idle_processes_are_used_up_to_the_cores(
    own: int, count: int, cores: int, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)))
    torch.set_num_threads(own)
    try:
        with threads_of(count):
            assert torch.get_num_threads() == wanted
        assert torch.get_num_threads() == own
    finally:
        torch.set_num_threads(before)
