"""The states of all random generators of a process: what dropout will draw next."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """The states of Python's, NumPy's and PyTorch's generators, in types that need no pickle."""
    name, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 - libraries draw from it
    return {
        "python": random.getstate(),
        "numpy": (str(name), torch.from_numpy(np.array(keys)), int(position), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Go on drawing where `random_state` was taken."""
    random.setstate(state["python"])
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy(), position, has_gauss, gauss))  # noqa: NPY002 - as above
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
