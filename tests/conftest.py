"""What every test stands on: threads chosen, seeds fixed, no network, before torch is imported by anyone.

Two OpenMP threads that wait for each other by spinning can be 10-30 times slower than one on shared cores.
Sums in another order differ in the last bits. So the suite runs on one thread unless told otherwise.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator

import numpy as np
import pytest

ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
OFFLINE = ("HF_HUB_OFFLINE", "NO_ALBUMENTATIONS_UPDATE")

for _name in ONE_THREAD + OFFLINE:
    os.environ.setdefault(_name, "1")  # child processes of the tests inherit it
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # forked loader workers would warn about it

SEED = 20261120


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the indexes that tests build out of the user's cache, in child processes too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Start every test from the same random state, whatever ran before it and in whichever order."""
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - libraries under test still draw from the legacy state
    torch = sys.modules.get("torch")  # the tests of the torch-free rooms do not pay for importing it
    if torch is not None:
        torch.manual_seed(SEED)
