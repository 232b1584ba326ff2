"""A loss that knows that 3 is nearer to 4 than to 9, which cross-entropy does not tell a language model."""

from __future__ import annotations

import torch
from torch import Tensor


def number_loss(logits: Tensor, labels: Tensor, worths: Tensor, digits: Tensor) -> Tensor:
    """Expected distance between the digit that would be drawn and the true one.

    NTL-WAS, the Wasserstein form of the Number Token Loss (Zausinger et al. 2024, arXiv 2411.02083), weighted
    by what a digit is worth. Cross-entropy makes the likeliest digit the answer, so that an amount which is
    probably not 0, but might be anything else, is answered 0.00; this distance is least at the median.

    Args:
        logits: float [K, V], of the supervised positions.
        labels: int64 [K], the true ids.
        worths: float [K], what one step of the digit is worth as a share of the scale, 0 for anything else.
        digits: int64 [10], the ids of the digits 0 to 9.

    Returns:
        The mean over all supervised positions, as cross-entropy takes it; a scalar.
    """
    numbers = worths > 0
    probabilities = logits[numbers][:, digits].float().softmax(-1)
    true = (labels[numbers, None] == digits).float().argmax(-1, keepdim=True)
    distance = (torch.arange(len(digits), device=logits.device) - true).abs()
    expected = (probabilities * distance).sum(-1) * worths[numbers]
    return expected.sum() / max(1, len(labels))
