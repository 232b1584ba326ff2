"""Several processes that work off a list of jobs, stop together, and do not outlive the one that asked."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, Final

import cv2

from datamodules.errors import DatasetError

Step = Callable[[], None]
"""To be called after each picture; raises when the work is to be left."""
Work = Callable[[Any, Step], None]
_LOOK: Final = 0.2  # seconds between two looks at the counter
# What a worker knows; set in it after the fork, so that nothing large is ever sent to it.
_worker: dict[str, Any] = {}


class StoppedError(Exception):
    """Another worker failed, or the user pressed Ctrl-C: leave the job."""


def work_off(jobs: Sequence[Any], work: Work, workers: int, seen: Callable[[int], None]) -> None:
    """Run ``work(job, step)`` for every job.

    The workers are forked: they share the index of the asking process instead of copying or reading it.

    Args:
        jobs: what to do; small, they are sent to the workers.
        work: does one; calls `step` after each picture.
        workers: processes; with 1 (or one job) the asking one works itself.
        seen: called with the number of pictures done since its last call.

    Raises:
        DatasetError: a worker was killed from outside; or whatever the first failing job raised.
    """
    with _one_thread():
        if min(workers, len(jobs)) <= 1:
            for job in jobs:
                work(job, lambda: seen(1))
            return
        context = get_context("fork")
        counter, stop = context.Value("q", 0), context.Event()
        given = (work, counter, stop, os.getpid())
        with ProcessPoolExecutor(min(workers, len(jobs)), context, _begin, given) as pool:
            try:
                _watch({pool.submit(_do, job) for job in jobs}, counter, seen)
            except BrokenProcessPool:
                raise DatasetError(
                    "a worker process was killed, probably for want of memory: run the same command again "
                    "with fewer --workers, it goes on where it stopped"
                ) from None
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)


def _watch(waiting: set[Future[None]], counter: Any, seen: Callable[[int], None]) -> None:
    told = 0
    while waiting:
        done, waiting = wait(waiting, timeout=_LOOK, return_when=FIRST_COMPLETED)
        seen(counter.value - told)
        told = counter.value
        for future in done:
            future.result()


def _begin(work: Work, counter: Any, stop: Any, parent: int) -> None:
    """Set a worker up; Ctrl-C is the asking process's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker.update(work=work, counter=counter, stop=stop)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    """End this process when the one that asked is gone (kill -9): nobody else would."""
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os._exit(1)


def _do(job: Any) -> None:
    counter, stop = _worker["counter"], _worker["stop"]

    def step() -> None:
        with counter.get_lock():
            counter.value += 1
        if stop.is_set():
            raise StoppedError

    _worker["work"](job, step)


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV on one thread: the processes are the parallel part, and its threads would not survive a fork."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
