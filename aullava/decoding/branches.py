"""Answers as a tree: every decision, and every value of an intensity, read off one masked pass.

An intensity goes on from its name through "0." and forks into its ten tenths, behind each of which stand the
hundredths; 1.00 is decided at the units. So all of its 101 values have their exact probability. Independent
answers are one branch for each Action Unit behind the question (`separate`); of an answer that is one text,
the intensities' forks hang on what is written (`along`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aullava.decoding.tree import AnswerTree
from aullava.text.answer import Readings, Scale
from aullava.text.tokens import TokenGrammar

VALUES: Final = {Scale.PRESENCE: 2, Scale.LEVEL: 6, Scale.INTENSITY: 101}
"""How many values an answer chooses from; they lie evenly between 0 and the top of the scale."""


def grid(scale: Scale) -> npt.NDArray[np.float32]:
    """Every value of a scale that an answer may give, rising, float32."""
    return np.linspace(0, scale.top, VALUES[scale]).round(2).astype(np.float32)


class BranchTable:
    """The tree of one question about A Action Units as tensors; `separate` and `along` make one.

    Args:
        tree: k tokens.
        scale: of the answer.
        device: where the tensors are.

    Attributes:
        ids: int64 [k], the tokens; 0 where an answer's own stand.
        paths: int64 [k, 2], as `aullava.models.tree` has them.
        written: int64 [L], where the tokens of the answer stand, if it is one text.
        places: int64 [A, P]: the tokens behind which each Action Unit's decisions are read: the only one, or
            units (if there are any), tenths, and hundredths after each of ten tenths.
        choices: int64 [A, P, C], the ids to choose from there; fewer than C are followed by -1.
        columns: int64 [U], all of these ids.
    """

    def __init__(self, tree: AnswerTree, scale: Scale, device: torch.device | str = "cpu") -> None:
        self.scale = scale
        width = max(len(one) for row in tree.choices for one in row)
        filled = [[one + (-1,) * (width - len(one)) for one in row] for row in tree.choices]
        self.ids = torch.tensor(tree.ids, device=device)
        self.paths = torch.tensor(tree.paths, device=device)
        self.written = torch.tensor(tree.written, dtype=torch.int64, device=device)
        self.places = torch.tensor(tree.places, device=device)
        self.choices = torch.tensor(filled, device=device)
        self.columns = torch.unique(self.choices[self.choices >= 0])
        self._column_of = torch.searchsorted(self.columns, self.choices.clamp(min=0))
        self._has_units = len(tree.choices[0][0]) == 2

    @classmethod
    def separate(cls, grammars: Sequence[TokenGrammar], device: torch.device | str = "cpu") -> BranchTable:
        """Independent answers, one grammar for each Action Unit."""
        tree = AnswerTree()
        tree.branches(grammars)
        return cls(tree, grammars[0].scale, device)

    @classmethod
    def along(cls, grammar: TokenGrammar, device: torch.device | str = "cpu") -> BranchTable:
        """An answer about intensities that is one text, with a fork at each of them."""
        tree = AnswerTree()
        tree.text(grammar)
        return cls(tree, grammar.scale, device)

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
        if self._has_units:
            units, probs = probs[:, :, 0, :2], probs[:, :, 1:]
        else:
            units = torch.tensor([1.0, 0.0], device=probs.device).expand(*probs.shape[:2], 2)
        below = units[..., :1, None] * probs[:, :, 0, :, None] * probs[:, :, 1:]
        return torch.cat([below.flatten(2), units[..., 1:]], dim=2)

    def greedy(self, decisions: Tensor) -> tuple[Tensor, Tensor]:
        """What greedy decoding of each branch of independent answers writes.

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
