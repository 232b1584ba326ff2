"""Holds the keys of one layer against the schema before anything is merged: a refusal knows its line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any, get_origin, get_type_hints

from omegaconf import MISSING

from aullava.config.errors import ConfigError, refusal
from aullava.config.layer import Layer
from aullava.config.paths import DATASETS, Key, dotted, expected, schema_keys, unwrapped
from aullava.config.schema import Config, DatasetConfig, Vocabulary
from aullava.config.words import hint, likeness

# From here on the same word in another section is surely what was meant.
SURELY = 0.85


def conform(layer: Layer, vocabulary: Vocabulary | None) -> dict[str, Any]:
    """The layer's settings, ready to be merged; sections written with nothing below them become empty.

    Raises:
        ConfigError: a key, a dataset or an option that does not exist (names the nearest), or a value where a
            section or list belongs and the other way round (says what was expected), with its place.
    """
    return _Conformer(layer, vocabulary).section(Config, layer.values, ())


class _Conformer:
    def __init__(self, layer: Layer, vocabulary: Vocabulary | None) -> None:
        self.layer = layer
        self.vocabulary = vocabulary

    def section(self, schema: Any, values: Any, key: Key) -> dict[str, Any]:
        """The keys of one dataclass."""
        types = get_type_hints(schema)
        result = {}
        for name, value in self._mapping(values, key).items():
            if name not in types:
                raise self._unknown((*key, name), types)
            result[name] = self._value(types[name], value, (*key, name))
        return result

    def _value(self, wanted: Any, value: Any, key: Key) -> Any:
        inner, optional = unwrapped(wanted)
        if is_dataclass(inner):
            return self.section(inner, value, key)
        if key == DATASETS:
            return {name: self._dataset(name, below) for name, below in self._mapping(value, key).items()}
        if get_origin(inner) is dict:
            return self._options(self._mapping(value, key), key)
        if value == MISSING or (value is None and optional):
            return value
        if not _fits(inner, value):
            got = "nothing" if value is None else repr(value)
            raise refusal(self.layer.at(key), f"{dotted(key)} must be {expected(wanted)}, not {got}")
        return value

    def _dataset(self, name: str, values: Any) -> dict[str, Any]:
        key = (*DATASETS, name)
        if self.vocabulary is not None and name not in self.vocabulary.datasets:
            words = hint(name, self.vocabulary.datasets)
            raise refusal(self.layer.at(key), f"unknown dataset '{name}', {words}")
        return self.section(DatasetConfig, values, key)

    def _options(self, values: dict[str, Any], key: Key) -> dict[str, Any]:
        dataset = key[len(DATASETS)]
        known = self._option_names(dataset)
        for name in values if self.vocabulary is not None else ():
            if name not in known:
                words = hint(name, known) if known else "it takes no options"
                sentence = f"unknown option '{name}' of dataset '{dataset}', {words}"
                raise refusal(self.layer.at((*key, name)), sentence)
        return values

    def _mapping(self, values: Any, key: Key) -> dict[str, Any]:
        if values is None:
            return {}
        if not isinstance(values, dict):
            raise refusal(self.layer.at(key), f"{dotted(key)} is a section: give its keys, not {values!r}")
        return {str(name): value for name, value in values.items()}

    def _unknown(self, key: Key, known: Iterable[str]) -> ConfigError:
        words = self._elsewhere(key, known) or hint(key[-1], known)
        return refusal(self.layer.at(key), f"unknown key '{dotted(key)}', {words}")

    def _elsewhere(self, key: Key, known: Iterable[str]) -> str | None:
        """The same word in another section: ``max_steps`` alone, or an option written beside ``options``."""
        if key[: len(DATASETS)] == DATASETS:
            places = {name: f"options.{name}" for name in self._option_names(key[len(DATASETS)])}
        else:
            places = {place[-1]: dotted(place) for place in schema_keys()}
        here = max(likeness(key[-1], name) for name in known)
        best = max(places, key=lambda name: likeness(key[-1], name), default="")
        return f"did you mean '{places[best]}'?" if likeness(key[-1], best) > max(here, SURELY) else None

    def _option_names(self, dataset: str) -> tuple[str, ...]:
        options = self.vocabulary.datasets.get(dataset) if self.vocabulary is not None else None
        return tuple(field.name for field in fields(options)) if is_dataclass(options) else ()


def _fits(inner: Any, value: Any) -> bool:
    """Whether a value has the right form; that a text reads as a number is seen when it is merged."""
    if value is None or isinstance(value, dict) or (get_origin(inner) is list) != isinstance(value, list):
        return False
    # 'no' and 'on' are false and true to YAML: a text of that kind must be quoted.
    return not (inner is str and isinstance(value, bool))
