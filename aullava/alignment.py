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

from aullava.models.projector import Whitening
from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator
from aullava.text.tokens import piece_ids
from datamodules.action_units import UNKNOWN, Scale
from datamodules.base import AUDataModule
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
    """Linear evidence for one Action Unit: ``weight`` [D] on whitened features, and how well it did."""

    weight: Tensor
    explained: float


def align_projector(model: FaceLanguageModel, collator: Collator, data: Mixture) -> dict[str, float]:
    """Give the first linear layer of the projector its start.

    Args:
        model: its projector is changed in place.
        collator: its tokenizer writes the words.
        data: set up; only labels and pictures of training people are read.

    Returns:
        For each code, the share of its variance that a linear model explains at its best place.
    """
    features: dict[str, Tensor] = {}
    whitening: Whitening | None = None
    found: dict[str, Evidence] = {}
    for member in data.members:
        rows = member.rows("train", FACES)
        key = member.pictures()
        if key not in features:
            features[key] = _encoded(model, collator, member, rows)
        whitening = whitening or Whitening.of(features[key])
        tokens = whitening(features[key])
        amounts = torch.from_numpy(member.index.labels[rows]).to(tokens)
        for column, code in enumerate(member.asked_aus):
            known = amounts[:, column] != UNKNOWN
            evidence = linear_evidence(tokens[known], amounts[known, column] / TOP[member.coded_scale()])
            if code not in found or evidence.explained > found[code].explained:
                found[code] = evidence
    assert whitening is not None
    _write(model, collator, whitening, found)
    return {code: evidence.explained for code, evidence in found.items()}


def linear_evidence(tokens: Tensor, amounts: Tensor) -> Evidence:
    """One weight vector for all places, large where the amount shows and small elsewhere.

    Args:
        tokens: float [N, P, D], whitened features.
        amounts: float [N] in [0, 1].
    """
    half = len(tokens) // 2
    centred = amounts - amounts.mean()
    identity = torch.eye(tokens.shape[-1]).to(tokens)
    explained = torch.zeros(tokens.shape[1])
    for place in range(tokens.shape[1]):
        x, y = tokens[:half, place], centred[:half]
        weight = torch.linalg.solve(x.T @ x / half + RIDGE * identity, x.T @ y / half)
        error = (centred[half:] - tokens[half:, place] @ weight).square().mean()
        explained[place] = 1 - error / centred[half:].square().mean()
    shown = explained.topk(min(PLACES, len(explained))).indices
    gram = torch.einsum("npd,npe->de", tokens, tokens) / len(tokens)
    moment = torch.einsum("npd,n->d", tokens[:, shown], amounts) / len(tokens)
    penalty = RIDGE * tokens.shape[1] * identity
    return Evidence(torch.linalg.solve(gram + penalty, moment), float(explained.max()))


def _write(
    model: FaceLanguageModel, collator: Collator, whitening: Whitening, found: Mapping[str, Evidence]
) -> None:
    """Tokens: a random mixture of the whitened features, plus each code's evidence along its word."""
    embeddings = model.llm.get_input_embeddings()
    assert isinstance(embeddings, nn.Embedding)
    table = embeddings.weight.detach().float().cpu()
    size = table.square().mean().sqrt()
    first = next(module for module in model.projector.modules() if isinstance(module, nn.Linear))
    inward = 0.5 * torch.randn(first.out_features, first.in_features) / first.in_features**0.5
    for code, evidence in found.items():
        word = table[list(piece_ids(collator.tokenizer, f" marked {code}"))].mean(0)
        word = word / word.square().mean().sqrt()
        inward += torch.outer(word, evidence.weight.cpu()) * GAIN
    whitening.install(first, size * inward)


@torch.no_grad()
def _encoded(model: FaceLanguageModel, collator: Collator, data: AUDataModule, rows: list[int]) -> Tensor:
    """Features of faces, float32 [N, P, D]."""
    step = data.loading.eval_batch_size
    device = next(model.vision.parameters()).device
    parts = []
    for start in range(0, len(rows), step):
        images = [data.load_image(str(data.index.places[row])) for row in rows[start : start + step]]
        parts.append(model.vision(collator.preprocess(images).to(device)).float().cpu())
    return torch.cat(parts)
