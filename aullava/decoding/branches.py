"""Independent answers as one tree: every decision of every Action Unit is read off one masked pass.

An answer about one Action Unit is a branch behind the question. Presence and levels are decided at its end.
An intensity's branch goes on through "0." and forks into its ten tenths, behind each of which stand the
hundredths; 1.00 is decided at the units. So all of its 101 values have their exact probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aullava.text.answer import Readings, Scale
from aullava.text.tokens import FixedToken, SlotToken, TokenGrammar

VALUES: Final = {Scale.PRESENCE: 2, Scale.LEVEL: 6, Scale.INTENSITY: 101}
"""How many values an answer chooses from; they lie evenly between 0 and the top of the scale."""


def grid(scale: Scale) -> npt.NDArray[np.float32]:
    """Every value of a scale that an answer may give, rising, float32."""
    return np.linspace(0, scale.top, VALUES[scale]).round(2).astype(np.float32)


class BranchTable:
    """The tree of one question: A branches, k tokens in all.

    Args:
        grammars: of each Action Unit's answer.
        device: where the tensors are.

    Attributes:
        ids: int64 [k], the tokens, branch after branch.
        paths: int64 [k, 2], the branch of each token and, behind a tenth, the number of its leaf (from 1).
        places: int64 [A, P]: the tokens behind which each Action Unit's decisions are read: the only one, or
            units, tenths, and hundredths after each of ten tenths.
        choices: int64 [A, P, C], the ids to choose from there; fewer than C are followed by -1.
        columns: int64 [U], all of these ids.
    """

    def __init__(self, grammars: Sequence[TokenGrammar], device: torch.device | str = "cpu") -> None:
        self.scale = grammars[0].scale
        ids: list[int] = []
        paths: list[tuple[int, int]] = []
        places: list[list[int]] = []
        choices: list[list[tuple[int, ...]]] = []
        for number, grammar in enumerate(grammars, start=1):
            stem, leaves, reads = _branch(grammar)
            places.append([len(ids) + place for place, _ in reads])
            choices.append([step.ids for _, step in reads])
            ids += [*stem, *leaves]
            paths += [(number, 0)] * len(stem)
            paths += [(number, leaf) for leaf in range(1, len(leaves) + 1)]
        width = max(len(one) for row in choices for one in row)
        filled = [[one + (-1,) * (width - len(one)) for one in row] for row in choices]
        self.ids = torch.tensor(ids, device=device)
        self.paths = torch.tensor(paths, device=device)
        self.places = torch.tensor(places, device=device)
        self.choices = torch.tensor(filled, device=device)
        self.columns = torch.unique(self.choices[self.choices >= 0])
        self._column_of = torch.searchsorted(self.columns, self.choices.clamp(min=0))

    def decisions(self, logits: Tensor) -> Tensor:
        """Logits [B, A x P, U] of `columns` at the places as log-probabilities [B, A, P, C] of choices."""
        aus, places, width = self.choices.shape
        columns = self._column_of.view(1, aus * places, width).expand(len(logits), -1, -1)
        scores = logits.gather(2, columns).view(-1, aus, places, width)
        return scores.masked_fill(self.choices < 0, -torch.inf).log_softmax(dim=-1)

    def distributions(self, decisions: Tensor) -> Tensor:
        """The probability of every value of the scale, float32 [B, A, V], from `decisions`."""
        probs = decisions.float().exp()
        if self.scale is not Scale.INTENSITY:
            return probs[:, :, 0]
        units, tenths, hundredths = probs[:, :, 0, :2], probs[:, :, 1], probs[:, :, 2:]
        below = units[..., :1, None] * tenths[..., None] * hundredths
        return torch.cat([below.flatten(2), units[..., 1:]], dim=2)

    def written(self, decisions: Tensor) -> tuple[Tensor, Tensor]:
        """What greedy decoding of each branch writes.

        Returns:
            The number of its value on the grid [B, A], and the places [B, A, P] bool that decided it.
        """
        best = decisions.argmax(dim=-1)
        used = torch.zeros_like(best, dtype=torch.bool)
        used[..., 0] = True
        if self.scale is not Scale.INTENSITY:
            return best[..., 0], used
        full, tenth = best[..., 0] == 1, best[..., 1]
        used[..., 1] = ~full
        used.scatter_(2, 2 + tenth[..., None], ~full[..., None])
        hundredth = best.gather(2, 2 + tenth[..., None])[..., 0]
        return torch.where(full, 100, 10 * tenth + hundredth), used


def _branch(grammar: TokenGrammar) -> tuple[list[int], list[int], list[tuple[int, SlotToken]]]:
    """The tokens of one branch: its stem, its leaves, and each decision with the token it is read behind."""
    decided = [step for step in grammar.steps if isinstance(step, SlotToken)]
    stem = _fixed(grammar, 0, decided[0])
    reads = [(len(stem) - 1, decided[0])]
    if grammar.scale is not Scale.INTENSITY:
        return stem, [], reads
    units, tenths, hundredths = decided
    stem += [units.id_of("0"), *_fixed(grammar, units.position, tenths)]
    reads += [(len(stem) - 1, tenths)]
    reads += [(len(stem) + leaf, hundredths) for leaf in range(len(tenths.ids))]
    return stem, list(tenths.ids), reads


def _fixed(grammar: TokenGrammar, start: int, end: SlotToken) -> list[int]:
    return [step.id for step in grammar.steps[start : end.position] if isinstance(step, FixedToken)]


def readings(scale: Scale, probabilities: Tensor, written: Tensor) -> list[Readings]:
    """What exact distributions say beside the answer.

    Args:
        scale: of the answer.
        probabilities: [B, A, V] of the values of its grid.
        written: int64 [B, A], the value that the answer gives.
    """
    values = torch.from_numpy(grid(scale)).to(probabilities)
    mean = probabilities @ values
    variance = (probabilities * (values - mean[..., None]) ** 2).sum(dim=-1)
    chosen = torch.ones_like(written) if scale is Scale.PRESENCE else written
    probs = probabilities.gather(2, chosen[..., None])[..., 0]
    columns = [one.float().cpu().numpy() for one in (probs, mean, variance.sqrt())]
    return [Readings(*row) for row in zip(*columns, strict=True)]
