"""Where the projector starts: image tokens that already resemble words about what they show.

LLaVA aligns its projector with captions before anything else learns. There are no captions here, but labels,
and for a linear projector the alignment has a closed form: ridge regressions from patch features to the
Action Units of the training people, each written in the direction of the embedding of " marked AU12". Which
patches show an Action Unit is found by regressing it on each place of the patch grid alone. All of it is
learned further afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from aullava.features import FaceFeatures
from aullava.models.projector import Whitening
from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator
from aullava.text.tokens import piece_ids
from datamodules.action_units import UNKNOWN, Scale
from datamodules.mixture import Mixture

FACES: Final = 1500
"""Training faces of each dataset that the regressions see."""
PLACES: Final = 4
"""Places of the patch grid that may show one Action Unit."""
RIDGE: Final = 0.03
"""L2 penalty in units of the whitened features' variance; ours."""
GAIN: Final = 6.0
"""Size of the evidence beside the unaligned part of a token: regression shrinks it much. Ours."""
TOP: Final = {Scale.PRESENCE: 1.0, Scale.LEVEL: 5.0, Scale.INTENSITY: 1.0}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Linear evidence for some Action Units.

    Attributes:
        weight: [A, D], on whitened features.
        explained: [A], the share of the variance that the best place alone explains, on faces left out.
    """

    weight: Tensor
    explained: Tensor


def align_projector(model: FaceLanguageModel, collator: Collator, data: Mixture) -> dict[str, float]:
    """Give the first linear layer of the projector its start.

    Args:
        model: its projector is changed in place.
        collator: its tokenizer writes the words.
        data: set up; only labels and pictures of training people are read.

    Returns:
        For each code, the share of its variance that a linear model explains at its best place.
    """
    features = FaceFeatures(model.vision, collator.preprocess)
    whitening: Whitening | None = None
    best: dict[str, tuple[float, Tensor]] = {}
    for member in data.members:
        rows = member.rows("train", FACES)
        tokens = features.of(member, rows)
        whitening = whitening or Whitening.of(tokens)
        labels = torch.from_numpy(member.index.labels[rows])
        amounts = labels / TOP[member.coded_scale()]
        evidence = linear_evidence(whitening(tokens), amounts, labels != UNKNOWN)
        for column, code in enumerate(member.asked_aus):
            explained = float(evidence.explained[column])
            if code not in best or explained > best[code][0]:
                best[code] = (explained, evidence.weight[column])
    assert whitening is not None
    _write(model, collator, whitening, {code: weight for code, (_, weight) in best.items()})
    return {code: explained for code, (explained, _) in best.items()}


def linear_evidence(tokens: Tensor, amounts: Tensor, known: Tensor) -> Evidence:
    """One weight vector per Action Unit for all places, large where the amount shows and small elsewhere.

    Args:
        tokens: float [N, P, D], whitened features.
        amounts: float [N, A] in [0, 1], anything where not known.
        known: bool [N, A].
    """
    rows, places, width = tokens.shape
    half = rows // 2
    mean = (amounts * known).sum(0) / known.sum(0).clamp(min=1)
    centred = torch.where(known, amounts - mean, torch.zeros_like(amounts))
    ridge = RIDGE * torch.eye(width)
    explained = torch.empty(places, amounts.shape[1])
    moments = torch.empty(places, width, amounts.shape[1])
    gram = torch.zeros(width, width)
    for place in range(places):
        x = tokens[:, place]
        learned = torch.linalg.solve(x[:half].T @ x[:half] / half + ridge, x[:half].T @ centred[:half] / half)
        missed = torch.where(known[half:], centred[half:] - x[half:] @ learned, torch.zeros(()))
        explained[place] = 1 - missed.square().sum(0) / centred[half:].square().sum(0).clamp(min=1e-9)
        moments[place] = x.T @ (amounts * known) / rows
        gram += x.T @ x / rows
    shown = explained.topk(min(PLACES, places), dim=0).indices
    moment = torch.stack([moments[shown[:, column], :, column].sum(0) for column in range(len(mean))], dim=1)
    weight = torch.linalg.solve(gram + places * ridge, moment)
    return Evidence(weight.T.contiguous(), explained.max(0).values)


def _write(
    model: FaceLanguageModel, collator: Collator, whitening: Whitening, weights: Mapping[str, Tensor]
) -> None:
    """Tokens: a random mixture of the whitened features, plus each code's evidence along its word."""
    embeddings = model.llm.get_input_embeddings()
    assert isinstance(embeddings, nn.Embedding)
    table = embeddings.weight.detach().float().cpu()
    size = table.square().mean().sqrt()
    first = next(module for module in model.projector.modules() if isinstance(module, nn.Linear))
    inward = 0.5 * torch.randn(first.out_features, first.in_features) / first.in_features**0.5
    for code, weight in weights.items():
        word = table[list(piece_ids(collator.tokenizer, f" marked {code}"))].mean(0)
        word = word / word.square().mean().sqrt()
        inward += torch.outer(word, weight) * GAIN
    whitening.install(first, size * inward)
