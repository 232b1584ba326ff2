"""Standardised training features seen through their kernel: where linear probes are solved.

With more features D than images N, weights that minimise a loss with an L2 penalty are combinations of the
images, w = X' alpha (the representer theorem), so that all work happens on the N x N kernel X X' and the D
features are touched once to make it and once to read the weights back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

BLOCK: Final = 2048
"""Columns standardised at a time, so that no second copy of the features is made when D > N."""
LEADING: Final = 512
"""Eigenvectors kept for preconditioning; up to this rank they are all there are, and solutions are direct."""


class FeatureSpace:
    """Training features, standardised with their own mean and standard deviation, and their kernel.

    The kernel is K = X X' / D: divided by D, so that one grid of penalties suits any number of features.

    Args:
        features: [N, ...], flattened to [N, D]; computed in float64 when it is float64, else in float32.

    Attributes:
        mean: [D], of the training features.
        inverse_std: [D]; 0 for a feature that never varies, which then counts nothing.
        vectors: [N, k], orthonormal: the leading eigenvectors of K.
        eigenvalues: [k], largest first.
        images: [N, k] = K @ vectors.

    Raises:
        ValueError: fewer than two images, or features that are not finite.
    """

    def __init__(self, features: Tensor) -> None:
        self._features = features.detach().flatten(1)
        self.rows, self.dim = self._features.shape
        self.dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
        if self.rows < 2 or not self.dim:
            raise ValueError(f"Expected features of two or more images, but got shape {list(features.shape)}")
        self._standardise()
        self._wide = self.dim >= self.rows
        self._matrix = self._kernel() if self._wide else torch.cat([b for _, b in self._blocks()], dim=1)
        self.vectors, self.eigenvalues, self.images = self._leading()

    def product(self, alpha: Tensor) -> Tensor:
        """K @ alpha for alpha [N, P]."""
        if self._wide:
            return self._matrix @ alpha
        return self._matrix @ (self._matrix.T @ alpha) / self.dim

    def weights(self, alpha: Tensor) -> Tensor:
        """The feature weights of functions K @ alpha.

        Args:
            alpha: [N, P].

        Returns:
            [D, P]: (features - mean) @ weights is K @ alpha on the training images.
        """
        blocks = [block.T @ alpha * self.inverse_std[part, None] for part, block in self._blocks()]
        return torch.cat(blocks) / self.dim

    def _standardise(self) -> None:
        mean, deviation = [], []
        for start in range(0, self.dim, BLOCK):
            variance, average = torch.var_mean(
                self._features[:, start : start + BLOCK].double(), 0, correction=0
            )
            mean.append(average)
            deviation.append(variance.sqrt())
        std, average = torch.cat(deviation), torch.cat(mean)
        if not bool((std + average).isfinite().all()):
            raise ValueError("Expected features without NaN and inf")
        # The rounding of a constant's mean must not pass for spread.
        varies = std > 10 * torch.finfo(self.dtype).eps * average.abs()
        self.mean = average.to(self.dtype)
        self.inverse_std = torch.where(varies, 1 / std, 0.0).to(self.dtype)

    def _blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Column blocks of the standardised features, [N, <= BLOCK] each."""
        for start in range(0, self.dim, BLOCK):
            part = slice(start, start + BLOCK)
            yield part, (self._features[:, part].to(self.dtype) - self.mean[part]) * self.inverse_std[part]

    def _kernel(self) -> Tensor:
        """K [N, N]; only its lower block triangle is multiplied out, which saves nearly half the time."""
        kernel = self._features.new_zeros(self.rows, self.rows, dtype=self.dtype)
        step = -(-self.rows // 8)
        for _, block in self._blocks():
            for start in range(0, self.rows, step):
                end = min(start + step, self.rows)
                kernel[start:end, :end].addmm_(block[start:end], block[:end].T)
        kernel = kernel.tril_() / self.dim
        return kernel.add_(kernel.tril(-1).T)

    def _leading(self) -> tuple[Tensor, Tensor, Tensor]:
        """Eigenvectors, eigenvalues and images by subspace iteration from a fixed random start."""
        size = min(self.rows, LEADING)
        start = torch.randn(self.rows, size, generator=torch.Generator().manual_seed(0), dtype=self.dtype)
        basis = start.to(self._features.device)
        for _ in range(3):
            basis = torch.linalg.qr(self.product(basis))[0]
        images = self.product(basis)
        inner = basis.T @ images
        values, rotation = torch.linalg.eigh((inner + inner.T) / 2)
        order = values.argsort(descending=True)
        rotation = rotation[:, order]
        return basis @ rotation, values[order].clamp(min=0), images @ rotation
