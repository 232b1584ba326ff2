"""Where the projector starts: image tokens that already say where to look and what is seen there.

LLaVA aligns its projector with captions before anything else learns. There are no captions here, but labels,
and for a linear projector the alignment has a closed form. For every Action Unit, the places of the patch
grid that show it best are found on training people. Two linear readings of a patch then go into its token:
*is this one of those places*, along the embedding of the word that asks for the Action Unit (", AU12: "), and
*how much of it is seen here*, along the embedding of the word that notes it (" marked AU12"). Attention finds
the first and reads the second. All of it is learned further afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from aullava.features import FaceFeatures
from aullava.image_words import AMOUNT, MIDDLE, asking_words, noting_words
from aullava.models.projector import Whitening
from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator
from datamodules.action_units import UNKNOWN
from datamodules.mixture import Mixture

FACES: Final = 3000
"""Training faces of each dataset that the regressions see."""
PLACES: Final = 2
"""Places of the patch grid that are read for one Action Unit."""
RIDGE: Final = 0.02
"""L2 penalty of what is read at the right places, in units of the whitened features' variance; ours."""
QUIET: Final = 0.3
"""The same of what goes into the tokens. Large, since an amount is also read where it is not to be seen, and
all that is noise in the token: from 0.02 to 0.3 the correlation of a reading with its amount fell from .73 to
.70, the noise elsewhere to less than a half."""
MIXTURE: Final = 0.4
"""Size of the unaligned part of a token beside a reading of size 1; ours."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How one Action Unit is read off whitened patch features, as two affine functions of a patch.

    Attributes:
        place: [D] and a constant; about 1 at the places that show it and about 0 elsewhere.
        amount: [D] and a constant; at those places the expected amount in [0, 1].
        explained: the share of the amount's variance that the best place alone explains, on faces left out.
    """

    place: tuple[Tensor, float]
    amount: tuple[Tensor, float]
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
    features = FaceFeatures(model.vision, collator.preprocess)
    whitening: Whitening | None = None
    best: dict[str, Reading] = {}
    for member in data.members:
        rows = member.rows("train", FACES)
        tokens = features.of(member, rows)
        whitening = whitening or Whitening.of(tokens)
        labels = torch.from_numpy(member.index.labels[rows])
        amounts = labels / member.coded_scale().top
        found = read_patches(whitening(tokens), amounts, labels != UNKNOWN)
        for code, reading in zip(member.asked_aus, found, strict=True):
            if code not in best or reading.explained > best[code].explained:
                best[code] = reading
    assert whitening is not None
    _write(model, collator, whitening, best)
    return {code: reading.explained for code, reading in best.items()}


def read_patches(tokens: Tensor, amounts: Tensor, known: Tensor, places: int = PLACES) -> list[Reading]:
    """One reading per Action Unit.

    Args:
        tokens: float [N, P, D], whitened features.
        amounts: float [N, A] in [0, 1], anything where not known.
        known: bool [N, A].
        places: how many places are read for one Action Unit.
    """
    explained = _explained(tokens, amounts, known)
    at = _places(tokens)
    readings = []
    for column in range(amounts.shape[1]):
        shown = explained[:, column].topk(min(places, tokens.shape[1])).indices
        rows = known[:, column]
        seen = tokens[rows][:, shown].mean(1)
        amount = _unshrunk(seen, amounts[rows, column, None])
        readings.append(
            Reading(
                place=(at[:-1, shown].sum(1), float(at[-1, shown].sum())),
                amount=(amount[:-1, 0], float(amount[-1, 0])),
                explained=float(explained[shown[0], column]),
            )
        )
    return readings


def _unshrunk(x: Tensor, y: Tensor) -> Tensor:
    """A quiet ridge regression [D + 1, 1] of one column, scaled so that its values are expectations again."""
    affine = _ridge(x, y, QUIET)
    read = x @ affine[:-1] + affine[-1]
    centred = read - read.mean()
    slope = (centred * (y - y.mean())).sum() / centred.square().sum().clamp(min=1e-9)
    return torch.cat([slope * affine[:-1], slope * (affine[-1:] - read.mean()) + y.mean()])


def _ridge(x: Tensor, y: Tensor, penalty: float = RIDGE) -> Tensor:
    """Ridge regression with a free constant: [D + 1, columns of y], the constants last."""
    mean = y.mean(0)
    centre = x.mean(0)
    centred = x - centre
    gram = centred.T @ centred / len(x) + penalty * torch.eye(x.shape[1])
    weight = torch.linalg.solve(gram, centred.T @ (y - mean) / len(x))
    return torch.cat([weight, (mean - centre @ weight)[None]])


def _explained(tokens: Tensor, amounts: Tensor, known: Tensor) -> Tensor:
    """[P, A]: variance of the amounts that each place explains on the last quarter, learnt on the others."""
    rows, places, width = tokens.shape
    cut = rows * 3 // 4
    mean = (amounts * known).sum(0) / known.sum(0).clamp(min=1)
    centred = torch.where(known, amounts - mean, torch.zeros(()))
    left_out = centred[cut:].square().sum(0).clamp(min=1e-9)
    ridge = RIDGE * torch.eye(width)
    explained = torch.empty(places, amounts.shape[1])
    for place in range(places):
        x = tokens[:, place] - tokens[:cut, place].mean(0)
        weight = torch.linalg.solve(x[:cut].T @ x[:cut] / cut + ridge, x[:cut].T @ centred[:cut] / cut)
        missed = torch.where(known[cut:], centred[cut:] - x[cut:] @ weight, torch.zeros(()))
        explained[place] = 1 - missed.square().sum(0) / left_out
    return explained


def _places(tokens: Tensor) -> Tensor:
    """[D + 1, P]: affine functions of a patch, each about 1 at its own place and about 0 at the others."""
    places = tokens.shape[1]
    flat = tokens.flatten(0, 1)
    at = torch.eye(places).repeat(len(tokens), 1)
    affine = _ridge(flat, at)
    # A ridge stays short of 1 at its own place; what it reaches there on average becomes 1.
    reached = torch.einsum("pd,dp->p", tokens.mean(0), affine[:-1]) + affine[-1]
    return affine / reached.clamp(min=0.1)


def _write(
    model: FaceLanguageModel, collator: Collator, whitening: Whitening, readings: Mapping[str, Reading]
) -> None:
    """Tokens: a random mixture of the whitened features, plus both readings of every code along its words."""
    embeddings = model.llm.get_input_embeddings()
    assert isinstance(embeddings, nn.Embedding)
    table = embeddings.weight.detach().float().cpu()
    first = next(module for module in model.projector.modules() if isinstance(module, nn.Linear))
    weight = MIXTURE * torch.randn(first.out_features, first.in_features) / first.in_features**0.5
    bias = torch.zeros(first.out_features)
    asked = asking_words(table, collator.tokenizer, list(readings))
    noted = noting_words(table, collator.tokenizer, list(readings))
    for reading, to_ask, to_note in zip(readings.values(), asked, noted, strict=True):
        weight += torch.outer(to_ask, reading.place[0]) + AMOUNT * torch.outer(to_note, reading.amount[0])
        bias += to_ask * reading.place[1] + AMOUNT * to_note * (reading.amount[1] - MIDDLE)
    size = table.square().mean().sqrt()
    whitening.install(first, size * weight, size * bias)
