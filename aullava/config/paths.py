"""Keys as paths through nested settings, and what the schema says about each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from aullava.config.schema import Config

Key = tuple[str, ...]
"""``("trainer", "max_steps")`` for ``trainer.max_steps``."""
Where = Callable[[Key], str]
"""Gives the place a key was last set (``experiments/demo.yaml:7``), "" for a default."""
DATASETS: Key = ("data", "datasets")

_SAID: dict[object, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list: "a list such as [a, b]",
}


def dotted(key: Key) -> str:
    """The key as the user writes it."""
    return ".".join(key)


def leaves(values: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every value of nested settings with its key; lists and empty sections are values."""
    for name, value in values.items():
        key = (*above, str(name))
        if isinstance(value, dict) and value:
            yield from leaves(value, key)
        else:
            yield key, value


def schema_keys(schema: Any = Config, above: Key = ()) -> Iterator[Key]:
    """Every key of the schema that needs no name of a dataset."""
    for name, wanted in get_type_hints(schema).items():
        if is_dataclass(wanted):
            yield from schema_keys(wanted, (*above, name))
        else:
            yield (*above, name)


def type_at(key: Key) -> Any:
    """The type the schema gives a key; Any below the options of a dataset."""
    node: Any = Config
    for name in key:
        inner, _ = unwrapped(node)
        if is_dataclass(inner):
            node = get_type_hints(inner)[name]
        elif get_origin(inner) is dict:
            node = get_args(inner)[1]
        else:
            return Any
    return node


def expected(wanted: Any) -> str:
    """A type in the user's words: ``a whole number or null``."""
    inner, optional = unwrapped(wanted)
    origin = get_origin(inner)
    words = _SAID.get(list if origin is tuple else origin or inner, "a value of another type")
    return f"{words} or null" if optional else words


def unwrapped(wanted: Any) -> tuple[Any, bool]:
    """`T | None` as (T, True), any other type as (itself, False)."""
    if get_origin(wanted) in (Union, UnionType):
        inner = [item for item in get_args(wanted) if item is not NoneType]
        return inner[0], len(inner) < len(get_args(wanted))
    return wanted, False
