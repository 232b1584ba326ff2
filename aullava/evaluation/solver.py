"""Many penalised linear problems at once, in the dual: Newton steps by preconditioned conjugate gradients.

Column j minimises over alpha and an unpenalised intercept b, with f = K alpha + b,

    sum over known rows i of loss(f_i, y_i)  +  l2_j / 2 * alpha' K alpha.

On standardised features, with K = X X' / D, that is scikit-learn's Ridge(alpha=l2 * D), halved, and its
LogisticRegression(C=1 / (l2 * D)). Inner products are those of the functions, <a, a'> = a' K a': the gradient
is then l2 * alpha + loss'(f), and one product with K per step serves all columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import softplus

from aullava.evaluation.feature_space import FeatureSpace

NEWTON_STEPS: Final = 50
GRADIENT_STEPS: Final = 50
FORCING: Final = 0.03
"""How far a Newton step is worked out; the next one sees the true residual and curvature again."""
PATIENCE: Final = 5
"""Conjugate gradients without a smaller residual after which the rest counts as rounding."""


class Loss(StrEnum):
    """How far a function is from its labels, and the two derivatives by the function's value."""

    LOGISTIC = "logistic"  # softplus(f) - y f, y in 0/1
    SQUARED = "squared"  # (f - y)^2 / 2

    def cost(self, f: Tensor, y: Tensor) -> Tensor:
        """The loss, elementwise."""
        return softplus(f) - y * f if self is Loss.LOGISTIC else (f - y).square() / 2

    def slope(self, f: Tensor, y: Tensor) -> Tensor:
        """The first derivative."""
        return (f.sigmoid() if self is Loss.LOGISTIC else f) - y

    def curvature(self, f: Tensor) -> Tensor:
        """The second derivative."""
        return f.sigmoid() * (-f).sigmoid() if self is Loss.LOGISTIC else torch.ones_like(f)


@dataclass(frozen=True, slots=True)
class Functions:
    """One function K alpha + bias per column; K alpha is kept, so that it is multiplied out once.

    Attributes:
        alpha: [N, P].
        image: [N, P] = K @ alpha.
        bias: [P].
    """

    alpha: Tensor
    image: Tensor
    bias: Tensor

    def dot(self, other: Functions) -> Tensor:
        """Inner products, [P]."""
        return (self.alpha * other.image).sum(0) + self.bias * other.bias

    def plus(self, step: Tensor | float, other: Functions) -> Functions:
        """The sum self + step * other; step is [P] or one number."""
        alpha, image = self.alpha + step * other.alpha, self.image + step * other.image
        return Functions(alpha, image, self.bias + step * other.bias)

    def columns(self, chosen: Tensor) -> Functions:
        """Some of the columns."""
        return Functions(self.alpha[:, chosen], self.image[:, chosen], self.bias[chosen])


@dataclass(frozen=True, slots=True)
class Problems:
    """What is minimised, column by column.

    Attributes:
        space: the training features.
        loss: of all columns.
        y: [N, P], finite everywhere.
        weight: [N, P], 1 where y is known, else 0.
        l2: [P], positive.
    """

    space: FeatureSpace
    loss: Loss
    y: Tensor
    weight: Tensor
    l2: Tensor

    def columns(self, chosen: Tensor) -> Problems:
        """Some of the columns."""
        return Problems(self.space, self.loss, self.y[:, chosen], self.weight[:, chosen], self.l2[chosen])

    def start(self) -> Functions:
        """The best constants: the mean of the known labels, or its logit."""
        mean = (self.y * self.weight).sum(0) / self.weight.sum(0).clamp(min=1)
        zeros = torch.zeros_like(self.y)
        return Functions(zeros, zeros, mean.logit(1e-6) if self.loss is Loss.LOGISTIC else mean)

    def objective(self, at: Functions) -> Tensor:
        """The value of each column, [P]."""
        losses = (self.weight * self.loss.cost(at.image + at.bias, self.y)).sum(0)
        return losses + self.l2 / 2 * (at.alpha * at.image).sum(0)

    def gradient(self, at: Functions) -> Functions:
        """The gradient in the space of functions."""
        return self._regularised(at, self.weight * self.loss.slope(at.image + at.bias, self.y))

    def curvature(self, at: Functions) -> Tensor:
        """The second derivatives of the losses, [N, P]."""
        return self.weight * self.loss.curvature(at.image + at.bias)

    def hessian_product(self, curvature: Tensor, step: Functions) -> Functions:
        """The Hessian times a step."""
        return self._regularised(step, curvature * (step.image + step.bias))

    def preconditioner(self, curvature: Tensor) -> Callable[[Functions], Functions]:
        """The inverse of a Hessian whose curvature is the same in all rows, by the leading eigenvectors of K.

        Exact for the squared loss without unknown labels when K has no more than `LEADING` eigenvectors.
        """
        flat = curvature.mean(0)
        spectrum = flat * self.space.eigenvalues[:, None] + self.l2
        rest = 1 / spectrum[-1]
        inverse = 1 / spectrum - rest
        bias = 1 / curvature.sum(0).clamp(min=torch.finfo(curvature.dtype).tiny ** 0.5)

        def apply(residual: Functions) -> Functions:
            leading = inverse * (self.space.vectors.T @ residual.alpha)
            alpha = rest * residual.alpha + self.space.vectors @ leading
            image = rest * residual.image + self.space.images @ leading
            return Functions(alpha, image, bias * residual.bias)

        return apply

    def _regularised(self, at: Functions, pull: Tensor) -> Functions:
        image = self.l2 * at.image + self.space.product(pull)
        return Functions(self.l2 * at.alpha + pull, image, pull.sum(0))


def solve(problems: Problems) -> Functions:
    """Minimises every column until its gradient is down by the square root of the number type's precision.

    A column also stops where a step lowers its objective by no more than rounding: weak penalties on features
    that nearly depend on each other cannot be solved further in float32.

    Args:
        problems: with LOGISTIC, a column needs known labels of both classes, or none, to have a minimum.

    Returns:
        The minimisers; 0 for a column without a known label.
    """
    eps = torch.finfo(problems.y.dtype).eps
    at = result = problems.start()
    rest = torch.arange(len(problems.l2), device=problems.y.device)  # the columns that are not there yet
    falling = torch.ones_like(rest, dtype=torch.bool)
    goal: Tensor | None = None
    for _ in range(NEWTON_STEPS):
        gradient, curvature = problems.gradient(at), problems.curvature(at)
        size = gradient.dot(problems.preconditioner(curvature)(gradient))
        goal = eps * size + eps**2 if goal is None else goal
        going = falling & (size > goal)
        if not bool(going.any()):
            break
        rest, goal, curvature = rest[going], goal[going], curvature[:, going]
        problems, at, gradient = problems.columns(going), at.columns(going), gradient.columns(going)
        step = _newton_step(problems, curvature, gradient)
        at, falling = _line_search(problems, at, step, gradient.dot(step))
        result = _replaced(result, rest, at)
    return result


def _newton_step(problems: Problems, curvature: Tensor, gradient: Functions) -> Functions:
    """Conjugate gradients on Hessian * step = -gradient, all columns side by side.

    The preconditioner's eigenvectors are approximate, so that it is not exactly symmetric: hence the
    Polak-Ribiere form of the direction's update.
    """
    precondition = problems.preconditioner(curvature)
    zeros = torch.zeros_like(gradient.alpha)
    step = Functions(zeros, zeros, torch.zeros_like(gradient.bias))
    residual = step.plus(-1, gradient)
    direction = precondition(residual)
    size = residual.dot(direction)
    goal, best, waited = FORCING**2 * size, size, torch.zeros_like(size)
    for _ in range(GRADIENT_STEPS):
        product = problems.hessian_product(curvature, direction)
        bend = direction.dot(product)
        moving = (size > goal) & (bend > 0) & (waited < PATIENCE)
        if not bool(moving.any()):
            break
        length = torch.where(moving, size / bend, 0.0)
        step = step.plus(length, direction)
        residual = residual.plus(-length, product)
        fresh = precondition(residual)
        turn = torch.where(moving, -length * fresh.dot(product) / size, 0.0)
        direction = fresh.plus(turn, direction)
        size = torch.where(moving, residual.dot(fresh), 0.0)
        waited = torch.where(size < best, 0, waited + 1)
        best = torch.minimum(best, size)
    return step


def _line_search(
    problems: Problems, at: Functions, step: Functions, slope: Tensor
) -> tuple[Functions, Tensor]:
    """Halves a column's step until it lowers its objective enough (Armijo); a column that cannot, stays.

    Returns:
        Where the columns are then, and bool [P]: which of them fell by more than rounding.
    """
    before = problems.objective(at)
    slack = 10 * torch.finfo(before.dtype).eps * before.abs()
    length = torch.ones_like(before)
    for _ in range(20):
        after = problems.objective(at.plus(length, step))
        good = after <= before + 1e-4 * length * slope + slack
        if bool(good.all()):
            break
        length = torch.where(good, length, length / 2)
    return at.plus(torch.where(good, length, 0.0), step), good & (before - after > slack)


def _replaced(result: Functions, index: Tensor, columns: Functions) -> Functions:
    alpha = result.alpha.index_copy(1, index, columns.alpha)
    image = result.image.index_copy(1, index, columns.image)
    return Functions(alpha, image, result.bias.index_copy(0, index, columns.bias))
