"""Where the projector starts: image tokens that already say where to look and what is seen there.

LLaVA aligns its projector with captions before anything else learns. There are no captions here, but labels,
and for a linear projector the alignment has a closed form. For every Action Unit, the places of the patch
grid that show it best are found on training people. Two linear readings of a patch then go into its token:
*is this one of those places*, along the embedding of the word that asks for the Action Unit (", AU12: "), and
*how much of it is seen here*, along the embedding of the word that notes it (" marked AU12"). Attention finds
the first and reads the second. All of it is learned further afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from aullava.features import FaceFeatures
from aullava.image_words import AMOUNT, MIDDLE, asking_words, noting_words
from aullava.models.vlm import FaceLanguageModel
from aullava.patch_readings import PatchSums, Reading, read_patches
from aullava.text.collate import Collator
from aullava.training.processes import Processes
from datamodules.action_units import UNKNOWN
from datamodules.base import AUDataModule
from datamodules.mixture import Mixture

FACES: Final = 10_000
"""Training faces of each dataset that the regressions see, at most."""
MIXTURE: Final = 0.4
"""Size of the unaligned part of a token beside a reading of size 1; ours."""


def align_projector(
    model: FaceLanguageModel, collator: Collator, data: Mixture, processes: Processes
) -> dict[str, float]:
    """Give the first linear layer of the projector its start.

    Args:
        model: its projector is changed in place.
        collator: its tokenizer writes the words.
        data: set up; only labels and pictures of training people are read.
        processes: of the job; each looks at its share of the faces.

    Returns:
        For each code, the share of its variance that a linear model explains at its best place.
    """
    features = FaceFeatures(model.vision, collator.preprocess)
    first: PatchSums | None = None
    best: dict[str, Reading] = {}
    for members in _of_the_same_pictures(data.members):
        sums = _sums(members, features, processes)
        first = first or sums
        codes = [code for member in members for code in member.asked_aus]
        for code, reading in zip(codes, read_patches(sums), strict=True):
            if code not in best or reading.explained > best[code].explained:
                best[code] = reading
    assert first is not None
    _write(model, collator, first, best)
    return {code: reading.explained for code, reading in best.items()}


def _of_the_same_pictures(members: Sequence[AUDataModule]) -> list[list[AUDataModule]]:
    """Members whose training faces are the same pictures stand together: their features are computed once."""
    groups: dict[tuple[str, tuple[int, ...]], list[AUDataModule]] = {}
    for member in members:
        groups.setdefault((member.pictures(), tuple(member.rows("train", FACES))), []).append(member)
    return list(groups.values())


def _sums(members: Sequence[AUDataModule], features: FaceFeatures, processes: Processes) -> PatchSums:
    """What the regressions need of the training faces that some members share, one column for each code."""
    rows = members[0].rows("train", FACES)
    labels = [torch.from_numpy(member.index.labels[rows]) for member in members]
    amounts = [one / member.coded_scale().top for one, member in zip(labels, members, strict=True)]
    sums = PatchSums(torch.cat(amounts, 1), torch.cat(labels, 1) != UNKNOWN, processes)
    for batch in features.batches(members[0], rows[sums.share]):
        sums.add(batch)
    sums.join()
    return sums


def _write(
    model: FaceLanguageModel, collator: Collator, sums: PatchSums, readings: Mapping[str, Reading]
) -> None:
    """Tokens: a random mixture of the features, plus both readings of every code along its words."""
    embeddings = model.llm.get_input_embeddings()
    assert isinstance(embeddings, nn.Embedding)
    table = embeddings.weight.detach().float().cpu()
    first = next(module for module in model.projector.modules() if isinstance(module, nn.Linear))
    mixture = MIXTURE * torch.randn(first.out_features, first.in_features) / first.in_features**0.5
    weight = mixture @ whitening(sums.covariance).T
    bias = -weight @ sums.mean
    asked = asking_words(table, collator.tokenizer, list(readings))
    noted = noting_words(table, collator.tokenizer, list(readings))
    for reading, to_ask, to_note in zip(readings.values(), asked, noted, strict=True):
        place, amount = reading.place, reading.amount
        weight += torch.outer(to_ask, place.weight) + AMOUNT * torch.outer(to_note, amount.weight)
        bias += to_ask * place.constant + AMOUNT * to_note * (amount.constant - MIDDLE)
    size = table.square().mean().sqrt()
    with torch.no_grad():
        first.weight.copy_(size * weight)
        first.bias.copy_(size * bias)


def whitening(covariance: Tensor) -> Tensor:
    """[D, D]: centred features times this are uncorrelated and equally large.

    Features of a vision transformer differ along few directions: a projector with random weights makes nearly
    the same token of every patch, and learns slowly. A first linear layer can take the whitening into its
    weights (data-dependent initialisation: Kraehenbuehl, arXiv 1511.06856).

    Args:
        covariance: [D, D], positive definite.
    """
    variances, directions = torch.linalg.eigh(covariance.double())
    matrix: Tensor = directions / variances.sqrt()
    return matrix.to(covariance.dtype)
