"""What decides between one pass over a drafted answer and one pass for each slot.

A pass takes a fixed time (reading the weights, starting kernels) and a time for each token. Counted in
tokens, the fixed part is the overhead: where a batch of answers is short against it, one pass over everything
drafted is cheap, even if it has to be repeated; where it is long (large batches), tokens that are read twice
cost more than passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

LAUNCH_WORK: Final = 7.5e7
"""Multiplications that could be done while a pass is started; divided by a model's parameters, these are
tokens. Fitted on one CPU core: a pass costs 29 tokens at 5 million parameters and 11 at 134 million."""
WEIGHTS: Final = {"cpu": 10.0, "cpu, half": 30.0, "cuda": 150.0, "cuda, half": 150.0}
"""Tokens whose arithmetic takes as long as reading the weights once. The CPU's is measured (with AVX512-BF16
a token in half precision takes a quarter of the time, and the weights half), the GPU's is an H200's 474
TFLOP/s over 3.2 TB/s in bf16 by its data sheet, and not measured."""
OTHER_DEVICE: Final = 32.0


@dataclass(frozen=True, slots=True)
class PassCost:
    """What a pass costs before its first token.

    Attributes:
        overhead: in tokens.
    """

    overhead: float

    @classmethod
    def of(cls, parameters: int, device: str, half: bool = False) -> PassCost:
        """Of a language model with so many parameters; measured by `benchmarks/decoding.py`.

        Args:
            parameters: how many.
            device: its kind, in torch's words.
            half: whether the weights have 16 bits.
        """
        weights = WEIGHTS.get(f"{device}, half" if half else device, OTHER_DEVICE)
        return cls(weights + LAUNCH_WORK / max(parameters, 1))

    def drafts_pay(self, rows: int, passes: int, tokens: int, again: float) -> bool:
        """Whether reading all that is drafted is expected to cost less than one pass for each slot.

        Args:
            rows: answers in the batch.
            passes: how many one for each slot would be.
            tokens: tokens left in each answer.
            again: the share of the tokens that are expected to be read a second time.
        """
        return (passes - 1) * self.overhead >= rows * tokens * again


@dataclass(slots=True)
class Experience:
    """How much of what was drafted had to be read again, first drafts and later ones apart.

    Attributes:
        read: tokens read in a first pass over drafts; begins with a few imagined ones.
        again: those of them that were read again.
    """

    read: list[float] = field(default_factory=lambda: [1000.0, 1000.0])
    again: list[float] = field(default_factory=lambda: [300.0, 100.0])

    def share(self, later: bool) -> float:
        """The share that was read again."""
        return self.again[later] / self.read[later]

    def note(self, later: bool, read: int, again: int) -> None:
        """Add what one batch needed."""
        self.read[later] += read
        self.again[later] += again


@dataclass(slots=True)
class PassCounts:
    """What decoding has cost so far.

    Attributes:
        rows: answers.
        passes: passes that each answer took part in, added up; 1 is the least an answer can have.
        tokens: answer tokens read, those read again and those of doubts included.
        answer_tokens: answer tokens of the finished answers.
        certified: answers that free decoding would have written too.
    """

    rows: int = 0
    passes: int = 0
    tokens: int = 0
    answer_tokens: int = 0
    certified: int = 0

    @property
    def passes_per_row(self) -> float:
        """Mean number of passes of an answer; NaN before the first."""
        return self.passes / self.rows if self.rows else float("nan")

    def in_words(self) -> str:
        """A line about it; nothing before the first answer."""
        if not self.rows:
            return ""
        sure = self.certified / self.rows
        return f"{self.passes_per_row:.2f} passes an answer, {sure:.1%} of the answers certified\n"
