"""Scores of one set of answers, of all people and of every draw of people: what intervals are made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aullava.evaluation.agreement import icc, mean_absolute_error, pearson
from aullava.evaluation.bootstrap import counts_of_people, drawn, moments_of, sums_of_people
from aullava.evaluation.decisions import f1
from aullava.evaluation.moments import moments

Pairs = tuple[Tensor, Tensor, Tensor]
"""Answers, labels [N, A], and which pairs are known."""


def drawn_f1(
    pairs: Pairs, threshold: float, who: Tensor, people: int, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """F1 of each Action Unit [A], and of each draw [D, A].

    Args:
        pairs: answers, labels, known.
        threshold: the smallest answer and label that count as present.
        who: int64 [N], the person of each row.
        people: how many there are.
        weights: [D, people], how often each draw holds a person.
    """
    counts = counts_of_people(pairs, torch.tensor(threshold), who, people)
    return f1(counts.sum(0)), f1(drawn(counts, weights))


def drawn_amounts(
    metrics: Sequence[str], pairs: Pairs, who: Tensor, people: int, weights: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """Each of `metrics` (mae, pcc, icc) as `drawn_f1` gives F1; their sums are made once."""
    sums, whole = drawn(sums_of_people(pairs, who, people), weights), moments(*pairs)
    of_draws, formulas = moments_of(sums), {"pcc": pearson, "icc": icc}
    return {
        name: (mean_absolute_error(*pairs), sums[:, 6] / sums[:, 0])
        if name == "mae"
        else (formulas[name](whole), formulas[name](of_draws))
        for name in metrics
    }
