"""The valid word that a wrong word most likely meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

# Below this likeness a guess would puzzle more than it helps; a short list is then shown whole.
CLOSE = 0.6
SHORT_LIST = 16
# A word inside another, as bp4d in synthetic_bp4d, is close however long the other is.
PART = 0.7


def likeness(word: str, candidate: str) -> float:
    """How alike two words look, 0 to 1, upper and lower case alike."""
    word, candidate = word.lower(), candidate.lower()
    ratio = SequenceMatcher(None, word, candidate).ratio()
    return max(ratio, PART) if len(word) > 1 and word in candidate else ratio


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The entry of `known` that looks most like `word`; None when `known` is empty."""
    return max(known, key=lambda candidate: likeness(word, candidate), default=None)


def hint(word: str, known: Iterable[str]) -> str:
    """The end of a refusal: ``did you mean 'max_steps'?``, or the valid words when none looks alike."""
    words = list(known)
    guess = nearest(word, words)
    if guess is None:
        return "nothing can stand here"
    if likeness(word, guess) >= CLOSE or len(words) > SHORT_LIST:
        return f"did you mean '{guess}'?"
    return f"it can be {', '.join(words)}"
