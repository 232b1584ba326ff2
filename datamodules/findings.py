"""What is not as it should be in a dataset, but falsifies nothing: kept, counted and shown. No torch here.

A reader adds a finding where it can go on honestly: a labelled frame without its picture is left out, an
optional folder is absent. Whatever would falsify a label is no finding but an error, strict or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from datamodules.errors import DatasetError

UNSAID: Final = ("unknown-label", "no-crop")
"""Kinds of which `prepare` says nothing: labels that were not coded, frames given out without a crop."""

ORDINARY: Final = (*UNSAID, "optional-absent", "no-face", "dead-url", "known-gap", "other-part")
"""Kinds that whole copies have, so that they stop no strict run: besides those, optional parts, frames of
which a finished store has no face, pictures gone from the web, documented gaps, and parts not asked for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: its sort, in words with hyphens: ``unknown-label``, ``missing-image``, ``missing-frame``,
            ``broken-image``, ``optional-absent``, ``count-differs``, ``no-face``, ...
        where: file (and line), sequence or sample.
        message: one sentence for the user.
        count: how many faces (or labels) it speaks of.
    """

    kind: str
    where: str
    message: str
    count: int = 1


class Findings:
    """The findings of one dataset, in the order in which they were made.

    Args:
        strict: raise the first one instead of keeping it.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self._kept: list[Finding] = []

    def add(self, kind: str, where: object, message: str, count: int = 1) -> None:
        """Keep a finding; see `Finding` for the arguments.

        One finding may speak of many frames (``count``): a sequence without pictures is one sentence, not
        five hundred. What is `ORDINARY` never stops a strict run.

        Raises:
            DatasetError: strict, and the kind is not `ORDINARY`.
        """
        if self.strict and kind not in ORDINARY:
            raise DatasetError(message)
        self._kept.append(Finding(kind, str(where), message, count))

    def counts(self) -> dict[str, int]:
        """How many faces or labels each kind speaks of, kinds in the order of their first finding."""
        total: dict[str, int] = {}
        for finding in self._kept:
            total[finding.kind] = total.get(finding.kind, 0) + finding.count
        return total

    def told(self) -> dict[str, tuple[int, str]]:
        """How many each kind speaks of, and its first message; without the kinds that are `UNSAID`."""
        first = {one.kind: one.message for one in reversed(self._kept) if one.kind not in UNSAID}
        return {kind: (count, first[kind]) for kind, count in self.counts().items() if kind in first}

    def clear(self) -> None:
        """Forget everything, before the files are read anew."""
        self._kept.clear()

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)
