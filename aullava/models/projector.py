"""The projector: from the vision encoder's features to the language model's embedding space."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

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


@dataclass(frozen=True, slots=True)
class Whitening:
    """Centres features and makes them uncorrelated and equally large.

    Features of a vision transformer share a large mean and differ along few directions: a projector with
    random weights makes nearly the same token of every patch, and learns slowly. A first linear layer can
    take the whitening into its weights (data-dependent initialisation: Kraehenbuehl, arXiv 1511.06856).

    Attributes:
        mean: [D].
        matrix: [D, D]; whitened = (features - mean) @ matrix.
    """

    mean: Tensor
    matrix: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """From tokens [B, N, D] of some training faces."""
        flat = features.flatten(0, 1).double()
        variances, directions = torch.linalg.eigh(torch.cov(flat.T))
        # Directions that hardly vary are noise: a hundredth of the average variance is added to all.
        matrix = directions / (variances.clamp(min=0) + 0.01 * variances.mean()).sqrt()
        return cls(flat.mean(0).float(), matrix.float())

    def __call__(self, features: Tensor) -> Tensor:
        """Whitened features [..., D]."""
        return (features - self.mean) @ self.matrix

    @torch.no_grad()
    def install(self, layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
        """Make ``layer`` compute ``weight`` [out, D] of the whitened features, plus ``bias`` [out]."""
        inward = weight @ self.matrix.T
        layer.weight.copy_(inward)
        layer.bias.copy_(bias - inward @ self.mean)
