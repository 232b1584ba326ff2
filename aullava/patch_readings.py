"""What can be read off single patches, by ridge regression from sums that one pass over faces fills.

No feature is kept: a face adds to the sums and is forgotten, so that memory does not grow with the faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from aullava.training.processes import Processes, total

PLACES: Final = 2
"""Places of the patch grid that are read for one Action Unit."""
RIDGE: Final = 0.02
"""L2 penalty of regressions that only say where something shows, in units of the covariance; ours."""
QUIET: Final = 0.3
"""The same of what goes into the tokens. Large, since an amount is also read where it is not to be seen, and
all that is noise in the token: from 0.02 to 0.3 the correlation of a reading with its amount fell from .81 to
.79, the noise elsewhere to less than a half."""
FLOOR: Final = 0.01
"""Directions that hardly vary are noise: this share of the average variance is added to all."""
_ALONE: Final = Processes()


@dataclass(frozen=True, slots=True)
class Affine:
    """An affine function of a patch's features: ``features @ weight + constant``.

    Attributes:
        weight: float32 [D].
        constant: its value at zero.
    """

    weight: Tensor
    constant: float

    def __call__(self, features: Tensor) -> Tensor:
        """Its values at features [..., D]."""
        return features @ self.weight + self.constant


@dataclass(frozen=True, slots=True)
class Reading:
    """How one Action Unit is read off patches.

    Attributes:
        place: about 1 at the places that show it and about 0 elsewhere.
        amount: at those places the expected amount in [0, 1].
        explained: the share of the amount's variance that the best place alone explains, on faces left out.
    """

    place: Affine
    amount: Affine
    explained: float


class PatchSums:
    """Sums over faces: of patch features, of their products with each other and with amounts, at every place.

    Args:
        amounts: float [N, A] in [0, 1], anything where not known.
        known: bool [N, A].
        processes: each of them adds the faces of its `share`; `join` makes the sums those of all.
    """

    def __init__(self, amounts: Tensor, known: Tensor, processes: Processes = _ALONE) -> None:
        self._processes = processes
        self.share = processes.share(len(amounts))
        self.known = known.float().mean(0)
        counted = torch.where(known, amounts.float(), torch.zeros(()))
        self.means = counted.sum(0) / known.sum(0).clamp(min=1)
        # What is not known is taken for the mean, which adds nothing to any sum.
        self._centred = torch.where(known, amounts - self.means, torch.zeros(()))
        self._left_out_from = len(amounts) * 3 // 4
        self.seen = self.share.start
        self.faces = torch.zeros(2)

    def add(self, features: Tensor) -> None:
        """Add the next faces.

        Args:
            features: float [B, P, D], of the next B rows of the share.
        """
        if self.seen == self.share.start:
            self._begin(features)
        for part, rows in enumerate(self._parts(len(features))):
            x = (features[rows] - self.origin).transpose(0, 1).contiguous()  # [P, b, D]
            y = self._centred[self.seen : self.seen + len(features)][rows].to(x.device)
            self.faces[part] += x.shape[1]
            self.features[part] += x.sum(1)
            self.products[part].baddbmm_(x.transpose(1, 2), x)
            self.crossed[part] += x.transpose(1, 2) @ y
            self.amounts[part] += y.sum(0)
            self.squares[part] += y.square().sum(0)
        self.seen += len(features)

    def _begin(self, features: Tensor) -> None:
        """Room for the sums. The origin lies among the features, so that differences keep their digits."""
        _, places, width = features.shape
        self.origin = features.flatten(0, 1).mean(0)
        self._processes.same({"origin": self.origin})
        self.features = features.new_zeros(2, places, width)
        self.products = features.new_zeros(2, places, width, width)
        self.crossed = features.new_zeros(2, places, width, len(self.means))
        self.amounts = features.new_zeros(2, len(self.means))
        self.squares = features.new_zeros(2, len(self.means))

    def join(self) -> None:
        """Make the sums those of the faces of all processes; called once, by each of them."""
        self.faces, self.features = total(self.faces), total(self.features)
        self.products, self.crossed = total(self.products), total(self.crossed)
        self.amounts, self.squares = total(self.amounts), total(self.squares)

    def _parts(self, count: int) -> tuple[slice, slice]:
        """Which of the next faces are learnt from and which are left out: the last quarter of all."""
        learnt = min(count, max(0, self._left_out_from - self.seen))
        return slice(0, learnt), slice(learnt, count)

    @property
    def mean(self) -> Tensor:
        """[D] over all patches."""
        return self.origin + self.features.sum((0, 1)) / self._patches()

    @property
    def covariance(self) -> Tensor:
        """[D, D] over all patches, with `FLOOR`."""
        mean = self.mean - self.origin
        found = self.products.sum((0, 1)) / self._patches() - torch.outer(mean, mean)
        return found + FLOOR * found.diagonal().mean() * torch.eye(len(found), device=found.device)

    def _patches(self) -> float:
        return float(self.faces.sum()) * self.features.shape[1]


def read_patches(sums: PatchSums, places: int = PLACES) -> list[Reading]:
    """One reading per Action Unit.

    Args:
        sums: of all training faces.
        places: how many places are read for one Action Unit.
    """
    covariance = sums.covariance
    explained = explained_at(sums, covariance)
    at = _where(sums, covariance)
    readings = []
    for column in range(explained.shape[1]):
        shown = explained[:, column].topk(min(places, len(explained))).indices
        readings.append(
            Reading(
                place=_sum([at[place] for place in shown.tolist()]),
                amount=_amount(sums, covariance, shown, column),
                explained=float(explained[shown[0], column]),
            )
        )
    return readings


def _sum(functions: Sequence[Affine]) -> Affine:
    weights = torch.stack([one.weight for one in functions])
    return Affine(weights.sum(0), sum(one.constant for one in functions))


def explained_at(sums: PatchSums, covariance: Tensor) -> Tensor:
    """[P, A]: variance of the amounts that each place explains on faces left out, learnt on the others.

    Args:
        sums: of all training faces.
        covariance: theirs; many gigabytes may have to be added up for it, so it is made once.
    """
    learnt, left_out = sums.faces.tolist()
    ridge = RIDGE * covariance
    explained = sums.features.new_empty(sums.crossed.shape[1], sums.crossed.shape[3])
    for place in range(len(explained)):
        mean = sums.features[0, place] / learnt
        spread = sums.products[0, place] / learnt - torch.outer(mean, mean)
        crossed = (sums.crossed[0, place] - torch.outer(mean, sums.amounts[0])) / learnt
        weight = torch.linalg.solve(spread + ridge, crossed)
        total = sums.features[1, place]
        products = sums.products[1, place] - torch.outer(total, mean) - torch.outer(mean, total)
        products += left_out * torch.outer(mean, mean)
        agreed = (weight * (sums.crossed[1, place] - torch.outer(mean, sums.amounts[1]))).sum(0)
        missed = sums.squares[1] - 2 * agreed + (weight * (products @ weight)).sum(0)
        explained[place] = 1 - missed / sums.squares[1].clamp(min=1e-9)
    return explained


def _where(sums: PatchSums, covariance: Tensor) -> list[Affine]:
    """For each place a function of a patch, about 1 at this place and about 0 at the others.

    This is the regression of "is it this place" on all patches; features times indicator are summed by the
    mean of the place itself.
    """
    count = sums.features.shape[1]
    away = sums.features.sum(0) / sums.faces.sum() + sums.origin - sums.mean  # [P, D]
    weights = torch.linalg.solve((1 + RIDGE) * covariance, away.T / count).T
    reached = (away * weights).sum(1) + 1 / count
    # A ridge stays short of 1 at its own place; what it reaches there on average becomes 1.
    scale = 1 / reached.clamp(min=0.1)
    constants = scale / count - scale * (weights @ sums.mean)
    return [Affine(*one) for one in zip(scale[:, None] * weights, constants.tolist(), strict=True)]


def _amount(sums: PatchSums, covariance: Tensor, shown: Tensor, column: int) -> Affine:
    """What the places `shown` say of an amount: a quiet ridge, scaled so that its values are expectations."""
    rows = float(sums.faces.sum()) * len(shown)
    mean = sums.features[:, shown].sum((0, 1)) / rows
    spread = sums.products[:, shown].sum((0, 1)) / rows - torch.outer(mean, mean)
    crossed = sums.crossed[:, shown, :, column].sum((0, 1)) / rows / sums.known[column].clamp(min=1e-9)
    weight = torch.linalg.solve(spread + QUIET * covariance, crossed)
    slope = float((weight @ crossed) / (weight @ spread @ weight).clamp(min=1e-9))
    return Affine(slope * weight, float(sums.means[column]) - slope * float(weight @ (mean + sums.origin)))
