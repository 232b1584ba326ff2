"""Metrics that need every pair at once: rows are gathered and put into one order before anything is added up.

Adding floating-point numbers in another order changes the last bits, so a sum over batches would depend on
the batch size and on the number of processes. Here the order is that of the sample ids (of a hash of them),
and of the values where there are no ids or two are equal: whoever computes from it gets the same bits
everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aullava.evaluation.per_au import PerAUMetric
from datamodules.action_units import UNKNOWN

_KEY_BYTES = 6  # 48 bits: a float64 holds them exactly


class PerAURows(PerAUMetric):
    """Keeps the coded rows; `compute` gives all of them, of all processes, in the order of their sample ids.

    Args:
        aus: codes of the Action Units, in the order of the columns.
        kwargs: see torchmetrics' `Metric`.

    Example:
        >>> metric = PerAURows(["AU1"])
        >>> metric.update(torch.tensor([[1], [0]]), torch.tensor([[1], [1]]))
        >>> preds, target, known = pairs_of(metric.compute())
        >>> preds
        tensor([[0.],
                [1.]], dtype=torch.float64)
    """

    higher_is_better: bool | None = None
    rows: list[Tensor] | Tensor

    def __init__(self, aus: Sequence[str], **kwargs: Any) -> None:
        super().__init__(aus, **kwargs)
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor, ids: Sequence[str] | None = None) -> None:
        """Add a batch; rows without a known target (padding) are left out.

        Args:
            preds: float or int [B, A], UNKNOWN where an answer could not be read.
            target: float or int [B, A], UNKNOWN where not coded.
            ids: the B sample ids; None: the rows are ordered by their values.

        Raises:
            ValueError: another shape, another number of ids, NaN or inf.
        """
        preds, target, _ = self._checked(preds, target)
        if ids is not None and len(ids) != len(preds):
            raise ValueError(f"Expected {len(preds)} ids, one for each row, but got {len(ids)}")
        keys = [0] * len(preds) if ids is None else [row_key(one) for one in ids]
        rows = torch.cat([preds.new_tensor(keys)[:, None], preds, target], dim=1)
        assert isinstance(self.rows, list)  # a tensor only while it is gathered
        self.rows.append(rows[(target != UNKNOWN).any(1)])

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """As torchmetrics; a process without any row takes part with an empty tensor of the right shape."""
        if isinstance(self.rows, list) and not self.rows:
            self.rows.append(self._no_rows())
        super().sync(*args, **kwargs)

    def compute(self) -> Tensor:
        """All rows in order, float64 [N, 1 + 2 A]: key, predictions, targets; on the CPU."""
        return self._ordered()

    def _pairs(self) -> tuple[Tensor, Tensor, Tensor]:
        return pairs_of(self._ordered())

    def _ordered(self) -> Tensor:
        parts = [self.rows] if isinstance(self.rows, Tensor) else self.rows
        rows = torch.cat([self._no_rows(), *parts]).cpu()
        order = rows[:, 0].argsort(stable=True)
        if bool((rows[order, 0].diff() == 0).any()):
            order = torch.from_numpy(np.lexsort(rows.numpy().T[::-1]))
        return rows[order].contiguous()

    def _no_rows(self) -> Tensor:
        return torch.zeros(0, 1 + 2 * len(self.aus), dtype=torch.float64, device=self.device)


def pairs_of(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Predictions, targets and the mask of the pairs that count, each [N, A], of what `compute` gave."""
    aus = rows.shape[1] // 2
    preds, target = rows[:, 1 : 1 + aus], rows[:, 1 + aus :]
    return preds, target, (preds != UNKNOWN) & (target != UNKNOWN)


def row_key(sample_id: str) -> int:
    """What a row of `PerAURows` begins with: 48 bits of a hash of its sample id."""
    digest = hashlib.blake2b(sample_id.encode(), digest_size=_KEY_BYTES).digest()
    return int.from_bytes(digest, "big")
