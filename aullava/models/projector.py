"""The projector: from the vision encoder's features to the language model's embedding space."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from torch import nn

from aullava.models.errors import ModelError, nearest


def _linear(dim_in: int, dim_out: int) -> nn.Module:
    return nn.Linear(dim_in, dim_out)


def _mlp(dim_in: int, dim_out: int) -> nn.Module:
    # Names and shapes are those of LLaVA-1.5, so that its projector can be read and ours be written as one.
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        linear_1=nn.Linear(dim_in, dim_out), act=nn.GELU(), linear_2=nn.Linear(dim_out, dim_out)
    )
    return nn.Sequential(layers)


PROJECTORS: Final[dict[str, Callable[[int, int], nn.Module]]] = {"linear": _linear, "mlp": _mlp}


def build_projector(kind: str, dim_in: int, dim_out: int) -> nn.Module:
    """A fresh projector in fp32, with torch's own initialisation.

    Args:
        kind: "linear" (one layer, the design of the paper) or "mlp" (Linear, GELU, Linear as in LLaVA-1.5).
        dim_in: width of the vision features.
        dim_out: width of the language model.

    Returns:
        A module that maps [..., dim_in] to [..., dim_out].

    Raises:
        ModelError: `kind` is not one of `PROJECTORS`.
    """
    if kind not in PROJECTORS:
        raise ModelError(
            f"unknown projector.kind '{kind}': did you mean '{nearest(kind, PROJECTORS)}'? "
            f"(there are {', '.join(PROJECTORS)})"
        )
    return PROJECTORS[kind](dim_in, dim_out)
