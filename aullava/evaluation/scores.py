"""The score book of one dataset: what its scale asks for, under flat names."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from aullava.evaluation.agreement import CORRELATIONS, ERRORS
from aullava.evaluation.counts import InvalidRate, PerAUSupport, diversity
from aullava.evaluation.decisions import PER_AU, f1, f1_micro
from aullava.evaluation.metrics import PerAUConfusion
from aullava.evaluation.moments import moments
from aullava.evaluation.per_au import PerAUMetric, macro
from aullava.evaluation.ranking import RANKINGS, rank_scores
from aullava.evaluation.rows import PerAURows, pairs_of
from datamodules.action_units import UNKNOWN, Scale

Values = Tensor | npt.NDArray[np.float32]

PRESENT_FROM: Final = MappingProxyType({Scale.PRESENCE: 0.5, Scale.LEVEL: 2.0})
"""The smallest value that counts as present. Intensities have no such convention: no F1 is given for them."""


class ScoreBook(nn.Module):
    """Collects the answers of one dataset and scores them; a module, to follow a model to its device.

    Args:
        aus: codes of the dataset's Action Units, in the order of the columns.
        scale: what its labels mean.
        present_from: the dataset's own threshold of each Action Unit, for one more F1; None: it has none.

    Raises:
        ValueError: no Action Unit, or one of them twice, or another number of thresholds.

    Example:
        >>> book = ScoreBook(["AU1", "AU2"], Scale.PRESENCE)
        >>> book.update(torch.tensor([[1, 0], [1, 1]]), torch.tensor([[1, 0], [1, 0]]))
        >>> scores = book.compute()
        >>> {name: scores[name] for name in ("f1/AU1", "f1_macro", "positives/AU1", "invalid_rate")}
        {'f1/AU1': 1.0, 'f1_macro': 1.0, 'positives/AU1': 2.0, 'invalid_rate': 0.0}
    """

    def __init__(self, aus: Sequence[str], scale: Scale, present_from: Sequence[float] | None = None) -> None:
        super().__init__()
        self.aus = tuple(aus)
        self.scale = Scale(scale)
        self.metrics = nn.ModuleDict(_metrics(self.aus, self.scale, present_from))

    def update(
        self,
        values: Values,
        target: Values,
        present: Values | None = None,
        probabilities: Values | None = None,
        ids: Sequence[str] | None = None,
    ) -> None:
        """Adds answers.

        Args:
            values: [B, A] on the dataset's scale; UNKNOWN where an answer could not be read.
            target: [B, A] labels; UNKNOWN where not coded, and everywhere in a row that is padding.
            present: [B, A] in 0/1: decides presence on levels for a baseline that does not read it off its
                level.
            probabilities: [B, A] of presence, UNKNOWN where there is none; they rank the answers of presence
                (levels rank themselves).
            ids: B sample ids; they fix the order of what is added up, so that scores are the same bits in any
                number of processes. Without them the order is that of the values.

        Raises:
            ValueError: another shape, NaN or inf.
        """
        said, truth = self._here(values), self._here(target)
        unranked = torch.full_like(truth, UNKNOWN)
        for name, metric in self._named():
            preds = said
            if name == "probabilities":
                preds = unranked if probabilities is None else self._here(probabilities)
            elif name == "decided" and present is not None:
                preds = self._decisions(self._here(present))
            if isinstance(metric, PerAURows):
                metric.update(preds, truth, ids)
            else:
                metric.update(preds, truth)

    def compute(self) -> dict[str, float]:
        """The scores of all answers so far, of all processes together.

        Returns:
            Flat names `<score>/<AU>` and `<score>_macro` to values. Presence, and levels at 2 and above: f1,
            precision, recall, accuracy, balanced_accuracy, f1_normalised, auroc and average_precision
            (ranked by probability, or by level), with `f1_micro` and `positives/<AU>`, the labels that are
            present. Levels and intensities: mae, rmse, pcc, ccc, icc, and f1_at_threshold where the dataset
            has a threshold of its own. Always: `support/<AU>`, the labels scored; `answer_diversity` and
            `label_diversity`, the effective number of different rows; `invalid_rate`, the share of answers
            that could not be read (they are in no other score). NaN: no support.
        """
        found: dict[str, Tensor] = {name: metric.compute() for name, metric in self._named()}
        pairs = pairs_of(found["answers"])
        scores: dict[str, float] = {}
        if "decided" in found:
            counts = found["decided"]
            for name, formula in PER_AU.items():
                scores |= self._each(name, formula(counts))
            scores["f1_micro"] = float(f1_micro(counts))
            ranked = pairs_of(found["probabilities"]) if "probabilities" in found else pairs
            threshold = [PRESENT_FROM[self.scale]] * len(self.aus)
            for name, ranking in RANKINGS.items():
                scores |= self._each(name, rank_scores(ranked, threshold, ranking))
            scores |= self._flat("positives", counts[0] + counts[2])
        if "decided_by_dataset" in found:
            scores |= self._each("f1_at_threshold", f1(found["decided_by_dataset"]))
        if self.scale is not Scale.PRESENCE:
            scores |= self._amounts(pairs)
        scores |= self._flat("support", found["support"].reshape(-1))
        preds, target, _ = pairs
        scores["answer_diversity"] = float(diversity(preds, target, preds))
        scores["label_diversity"] = float(diversity(target, target, preds))
        return scores | {"invalid_rate": float(found["invalid_rate"])}

    def rows(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Every coded row of all processes, ordered by its key.

        Returns:
            float64 keys [N] (`rows.row_key` of the sample ids), answers, labels and probabilities of presence
            [N, A]; UNKNOWN where there is none.
        """
        found = {name: metric.compute() for name, metric in self._named() if isinstance(metric, PerAURows)}
        answers, labels, _ = pairs_of(found["answers"])
        unranked = torch.full_like(answers, UNKNOWN)
        ranked = pairs_of(found["probabilities"])[0] if "probabilities" in found else unranked
        return found["answers"][:, 0], answers, labels, ranked

    def reset(self) -> None:
        """Forgets all answers."""
        for _, metric in self._named():
            metric.reset()

    def _amounts(self, pairs: tuple[Tensor, Tensor, Tensor]) -> dict[str, float]:
        scores: dict[str, float] = {}
        for name, error in ERRORS.items():
            scores |= self._each(name, error(*pairs))
        summed = moments(*pairs)
        for name, correlation in CORRELATIONS.items():
            scores |= self._each(name, correlation(summed))
        return scores

    def _each(self, name: str, values: Tensor) -> dict[str, float]:
        return self._flat(name, values) | {f"{name}_macro": float(macro(values))}

    def _flat(self, name: str, values: Tensor) -> dict[str, float]:
        return {f"{name}/{code}": one for code, one in zip(self.aus, values.tolist(), strict=True)}

    def _here(self, values: Values) -> Tensor:
        first = self.metrics["support"]
        assert isinstance(first, PerAUMetric)
        return torch.as_tensor(values, device=first.device)

    def _decisions(self, present: Tensor) -> Tensor:
        """0/1 as values at and below the threshold of the scale."""
        yes = torch.where(present >= 0.5, PRESENT_FROM[self.scale], 0.0)
        return torch.where(present == UNKNOWN, UNKNOWN, yes)

    def _named(self) -> list[tuple[str, PerAUMetric]]:
        return [(name, metric) for name, metric in self.metrics.items() if isinstance(metric, PerAUMetric)]


def _metrics(aus: tuple[str, ...], scale: Scale, own: Sequence[float] | None) -> dict[str, nn.Module]:
    metrics: dict[str, nn.Module] = {
        "support": PerAUSupport(aus),
        "invalid_rate": InvalidRate(aus),
        "answers": PerAURows(aus),
    }
    if scale in PRESENT_FROM:
        metrics["decided"] = PerAUConfusion(aus, PRESENT_FROM[scale])
    if scale is Scale.PRESENCE:
        metrics["probabilities"] = PerAURows(aus)
    elif own is not None:
        metrics["decided_by_dataset"] = PerAUConfusion(aus, own)
    return metrics
