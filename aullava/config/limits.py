"""What a value may be, written beside its default in the schema and checked when the config is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from math import isfinite
from typing import Any, TypeVar

from aullava.config.errors import refusal
from aullava.config.words import hint

Value = TypeVar("Value")
_KEY = "limits"


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one field; a bound that is None does not hold.

    `low` and `high` may be reached, `above` and `below` may not. `words` are the only values of a text.
    `names` asks for a word that is fit to be a folder's name.
    """

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    words: tuple[str, ...] = ()
    names: bool = False

    def complaint(self, value: Any) -> str | None:
        """What is wrong with `value`, as the end of a sentence that begins with its key; None: nothing."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._about_number(value)
        if isinstance(value, str) and self.words and value not in self.words:
            return f"has no choice '{value}', {hint(value, self.words)}"
        if isinstance(value, str) and self.names and not _is_folder_name(value):
            return f"names a folder, so '{value}' must be letters, digits, '.', '_', '-', no sign first"
        if isinstance(value, list):
            return _about_list(value, self.words)
        return None

    def _about_number(self, value: float) -> str | None:
        if not isfinite(value):
            return f"must be a finite number, not {value}"
        rules: tuple[tuple[float | None, Callable[[float], bool], str], ...] = (
            (self.low, lambda bound: value >= bound, "at least"),
            (self.high, lambda bound: value <= bound, "at most"),
            (self.above, lambda bound: value > bound, "above"),
            (self.below, lambda bound: value < bound, "below"),
        )
        for bound, holds, phrase in rules:
            if bound is not None and not holds(bound):
                return f"must be {phrase} {bound:g}, not {value}"
        return None


def _is_folder_name(value: str) -> bool:
    return value[:1].isalnum() and all(letter.isalnum() or letter in "._-" for letter in value)


def _about_list(value: list[Any], words: tuple[str, ...]) -> str | None:
    for item in value if words else ():
        if item not in words:
            return f"has no choice '{item}', {hint(str(item), words)}"
    if not value:
        return "is an empty list: name at least one"
    twice = sorted({str(item) for item in value if value.count(item) > 1})
    return f"names '{twice[0]}' twice" if twice else None


def number(
    default: Value,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Value:
    """A numeric field (or ``None``) with its default and its bounds."""
    return field(default=default, metadata={_KEY: Limits(low=low, high=high, above=above, below=below)})


def choice(default: str, *words: str) -> str:
    """A text field that can only be its default or one of `words`."""
    return field(default=default, metadata={_KEY: Limits(words=(default, *words))})


def some_of(*words: str) -> dict[str, Limits]:
    """Metadata of a field that lists some of `words`."""
    return {_KEY: Limits(words=words)}


def folder_name(default: str) -> str:
    """A text field that becomes part of a path."""
    return field(default=default, metadata={_KEY: Limits(names=True)})


def walk(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Limits]]:
    """Every field below `node` (a config dataclass) with its path, value and limits; sections left out."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, (*path, key))
    elif is_dataclass(node):
        for item in fields(node):
            value, here = getattr(node, item.name), (*path, item.name)
            if is_dataclass(value) or isinstance(value, dict):
                yield from walk(value, here)
            else:
                yield here, value, item.metadata.get(_KEY, Limits())


def check(config: Any, where: Callable[[tuple[str, ...]], str]) -> None:
    """Refuse the first value of `config` that is outside its limits.

    Args:
        config: a complete config (dataclass).
        where: gives the place a path's value came from, "" for a default.

    Raises:
        ConfigError: names the key, the bound and the value.
    """
    for path, value, limits in walk(config):
        complaint = limits.complaint(value)
        if complaint is not None:
            raise refusal(where(path), f"{'.'.join(path)} {complaint}")
