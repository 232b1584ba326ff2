"""The projector: from the vision encoder's features to the language model's embedding space."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

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


@torch.no_grad()
def fit_to_features(projector: nn.Module, features: Tensor, rms: float) -> None:
    """Start the first linear layer where its outputs are centred, uncorrelated, and as large as word embeddings.

    Features of a vision transformer share a large mean and differ along few directions, so that a projector with
    random weights makes nearly the same token of every patch, and learns slowly. The layer stays linear: only its
    first weights depend on the data (data-dependent initialisation: Kraehenbuehl et al. 2016, arXiv 1511.06856).

    Args:
        projector: from `build_projector`; changed in place.
        features: float [B, N, dim_in], the encoder's tokens of some training faces.
        rms: root mean square of the language model's word embeddings.
    """
    first = next(module for module in projector.modules() if isinstance(module, nn.Linear))
    flat = features.flatten(0, 1).double()
    mean = flat.mean(0)
    variances, directions = torch.linalg.eigh(torch.cov(flat.T))
    # Directions that hardly vary are noise: they are raised to a hundredth of the average variance at most.
    whiten = directions / (variances.clamp(min=0) + 0.01 * variances.mean()).sqrt()
    mixing = torch.randn(first.out_features, first.in_features, dtype=torch.float64) / first.in_features**0.5
    weight = rms * mixing @ whiten.T
    first.weight.copy_(weight)
    first.bias.copy_(-weight @ mean)
