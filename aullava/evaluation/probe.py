"""The linear probe: what a linear model reads off all patch features of the frozen encoder.

The baseline that a vision-language model has to beat on the same features, and a source of cheap drafts.
Penalties are chosen per Action Unit on validation people; presence is decided at a probability of one half,
as greedy decoding decides it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import torch
from torch import Tensor

from aullava.evaluation.feature_space import BLOCK, FeatureSpace
from aullava.evaluation.metrics import PerAUF1, PerAUMAE, PerAUPearson
from aullava.evaluation.per_au import PerAUMetric, macro
from aullava.evaluation.scores import PRESENT_FROM
from aullava.evaluation.solver import Loss, Problems, solve
from datamodules.action_units import UNKNOWN, Scale

PENALTIES: Final = (3000.0, 1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""L2 penalties in units of the kernel (times D in scikit-learn's): from hardly a fit to hardly a penalty."""


class Criterion(StrEnum):
    """What chooses the penalties of levels and intensities; those of presence are chosen by F1."""

    MAE = "mae"
    PCC = "pcc"


@dataclass(frozen=True, slots=True)
class LinearHead:
    """Linear functions: one column per Action Unit; while fitting, one per penalty and Action Unit.

    Attributes:
        weight: float [D, A], for features from which the training mean was taken.
        bias: float [A].
        l2: float [A], the penalties, in units of the kernel.
    """

    weight: Tensor
    bias: Tensor
    l2: Tensor

    def apply(self, features: Tensor, mean: Tensor) -> Tensor:
        """The functions' values on raw features [N, ...], [N, A]; no copy of all features is made."""
        flat = features.detach().flatten(1)
        if flat.shape[1] != len(mean):
            raise ValueError(f"Expected {len(mean)} features per image, but got {flat.shape[1]}")
        out = self.bias.repeat(len(flat), 1)
        for start in range(0, len(mean), BLOCK):
            part = slice(start, start + BLOCK)
            out.addmm_(flat[:, part].to(mean) - mean[part], self.weight[part])
        return out


@dataclass(frozen=True, slots=True)
class ProbeAnswers:
    """What a probe answers.

    Attributes:
        values: float [N, A] on the dataset's scale, rounded as written answers are (intensities to 0.01).
        present: float [N, A] in 0/1 by logistic regression; None for intensities.
    """

    values: Tensor
    present: Tensor | None


@dataclass(frozen=True, slots=True)
class LinearProbe:
    """Logistic regression for presence (level >= 2), ridge regression for levels and intensities.

    Attributes:
        aus: codes of the Action Units, in the order of the columns.
        scale: of the answers.
        mean: [D], of the training features.
        presence: the logits of presence; None for intensities.
        amount: levels or intensities before rounding; None for presence.
    """

    aus: tuple[str, ...]
    scale: Scale
    mean: Tensor
    presence: LinearHead | None
    amount: LinearHead | None

    @classmethod
    def fit(
        cls,
        space: FeatureSpace,
        target: Tensor,
        validation: tuple[Tensor, Tensor],
        *,
        aus: Sequence[str],
        scale: Scale,
        criterion: Criterion = Criterion.MAE,
        penalties: Sequence[float] = PENALTIES,
    ) -> LinearProbe:
        """Fits all penalties at once and keeps the best of each Action Unit.

        Args:
            space: the training features; made once where datasets share their images.
            target: [N, A] training labels, UNKNOWN where not coded.
            validation: features [M, ...] and labels [M, A] of other people, to choose the penalties by.
            aus: codes of the Action Units, in the order of the columns.
            scale: of the labels.
            criterion: what chooses the penalties of levels and intensities.
            penalties: the grid; of equal scores the larger penalty is kept.

        Raises:
            ValueError: shapes that do not fit each other, or labels with NaN.
        """
        scale = Scale(scale)
        if target.shape != (space.rows, len(aus)) or not bool(target.isfinite().all()):
            raise ValueError(
                f"Expected finite labels of shape [{space.rows}, {len(aus)}], but got {list(target.shape)}"
            )
        features, truth = validation
        target, truth = target.to(space.mean), truth.to(space.mean)
        grid = space.mean.new_tensor(sorted(penalties, reverse=True))
        presence = amount = None
        if scale in PRESENT_FROM:
            heads = _fit(space, Loss.LOGISTIC, _decisions(target, scale), grid)
            answers = (heads.apply(features, space.mean) > 0).to(truth)
            presence = _best(heads, answers, _decisions(truth, scale), PerAUF1(aus))
        if scale is not Scale.PRESENCE:
            heads = _fit(space, Loss.SQUARED, target, grid)
            answers = _rounded(heads.apply(features, space.mean), scale)
            amount = _best(heads, answers, truth, (PerAUMAE if criterion == "mae" else PerAUPearson)(aus))
        return cls(tuple(aus), scale, space.mean, presence, amount)

    def answer(self, features: Tensor) -> ProbeAnswers:
        """Answers for raw features [N, ...] of the same encoder.

        Raises:
            ValueError: another number of features.
        """
        present = values = None
        if self.presence is not None:
            present = values = (self.presence.apply(features, self.mean) > 0).to(self.mean)
        if self.amount is not None:
            values = _rounded(self.amount.apply(features, self.mean), self.scale)
        if values is None:
            raise ValueError("Expected a probe with a presence or an amount head, but it has none")
        return ProbeAnswers(values, present)

    def amounts(self, features: Tensor) -> Tensor:
        """What answers are rounded from, float [N, A]: the probability of presence, or levels or intensities.

        Raises:
            ValueError: another number of features.
        """
        if self.amount is not None:
            return self.amount.apply(features, self.mean)
        assert self.presence is not None
        return self.presence.apply(features, self.mean).sigmoid()

    def tensors(self) -> dict[str, Tensor]:
        """What a safetensors file holds of it; the Action Units and the scale are stored beside it."""
        found = {"mean": self.mean}
        for name, head in (("presence", self.presence), ("amount", self.amount)):
            if head is not None:
                found |= {f"{name}.weight": head.weight, f"{name}.bias": head.bias, f"{name}.l2": head.l2}
        return {name: tensor.detach().contiguous() for name, tensor in found.items()}

    @classmethod
    def from_tensors(cls, aus: Sequence[str], scale: Scale, tensors: Mapping[str, Tensor]) -> LinearProbe:
        """A probe from what `tensors` gave.

        Args:
            aus: codes of the Action Units it was fitted for, in order.
            scale: it was fitted for.
            tensors: names to tensors.

        Raises:
            ValueError: a tensor is missing, left over or of another shape.
        """
        scale = Scale(scale)
        names = ["presence"] * (scale in PRESENT_FROM) + ["amount"] * (scale is not Scale.PRESENCE)
        dim = next(
            (len(one) for name, one in tensors.items() if name == "mean" or name.endswith(".weight")), 0
        )
        shapes: dict[str, tuple[int, ...]] = {"mean": (dim,)}
        for name in names:
            shapes |= {
                f"{name}.weight": (dim, len(aus)),
                f"{name}.bias": (len(aus),),
                f"{name}.l2": (len(aus),),
            }
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        for name in shapes | found:
            if found.get(name) != shapes.get(name):
                raise ValueError(
                    f"Expected '{name}' of shape {shapes.get(name)} in a linear probe of {len(aus)} Action "
                    f"Units and scale {scale}, but got {found.get(name)}"
                )
        heads = {
            name: LinearHead(*(tensors[f"{name}.{part}"] for part in ("weight", "bias", "l2")))
            for name in names
        }
        return cls(tuple(aus), scale, tensors["mean"], heads.get("presence"), heads.get("amount"))


def _fit(space: FeatureSpace, loss: Loss, target: Tensor, grid: Tensor) -> LinearHead:
    """Solves every penalty and Action Unit; columns are penalties x Action Units."""
    known = target != UNKNOWN
    if loss is Loss.LOGISTIC:
        yes, no = ((target == 1) & known).sum(0), ((target == 0) & known).sum(0)
        one_class = (yes == 0) | (no == 0)
        known = known & ~one_class  # the logit would run to infinity
    weight = known.to(target).repeat(1, len(grid))
    y, l2 = (target * known).repeat(1, len(grid)), grid.repeat_interleave(target.shape[1])
    solution = solve(Problems(space, loss, y, weight, l2))
    bias = solution.bias
    if loss is Loss.LOGISTIC:
        constant = ((yes + 0.5) / (no + 0.5)).log().to(bias)
        bias = torch.where(one_class, constant, bias.view(len(grid), -1)).flatten()
    return LinearHead(space.weights(solution.alpha), bias, l2)


def _best(heads: LinearHead, answers: Tensor, truth: Tensor, metric: PerAUMetric) -> LinearHead:
    """The penalty with the best validation score for each Action Unit.

    An Action Unit without support among the validation people takes the penalty that is best on average.
    """
    count = len(metric.aus)
    scores = []
    for columns in torch.split(answers.cpu(), count, dim=1):
        metric.reset()
        metric.update(columns, truth.cpu())
        score: Tensor = metric.compute().reshape(-1)
        scores.append(score if metric.higher_is_better else -score)
    table = torch.stack(scores)
    average = torch.stack([macro(row) for row in table])[:, None].nan_to_num(-torch.inf)
    chosen = torch.where(table.isnan().any(0), average, table).argmax(0)
    index = (chosen * count + torch.arange(count, device=chosen.device)).to(heads.bias.device)
    return LinearHead(heads.weight[:, index], heads.bias[index], heads.l2[index])


def _decisions(target: Tensor, scale: Scale) -> Tensor:
    return torch.where(target == UNKNOWN, target, (target >= PRESENT_FROM[scale]).to(target))


def _rounded(values: Tensor, scale: Scale) -> Tensor:
    """Onto the grid of written answers, half up: levels 0..5, intensities 0.00..1.00."""
    steps, top = (1, 5) if scale is Scale.LEVEL else (100, 100)
    return (values * steps + 0.5).floor().clamp(0, top) / steps
