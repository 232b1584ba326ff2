"""The options of one dataset, held against the dataclass that the dataset declares for them."""

from __future__ import annotations

from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aullava.config.errors import ConfigError, refusal
from aullava.config.paths import DATASETS, Key, Where, dotted, expected
from aullava.config.schema import Config, Vocabulary
from aullava.config.words import hint


def complete_options(config: Config, vocabulary: Vocabulary, where: Where) -> dict[Key, str]:
    """Convert the given options of every dataset to their types and add the defaults of the others, in place.

    Returns:
        Key of every option -> ``<dataclass> default``, for those whose place is not known otherwise.

    Raises:
        ConfigError: a value has the wrong type, is not one of the option's words, or is missing; or the
            options dataclass refuses it with a ValueError.
    """
    origins = {}
    for name, dataset in config.data.datasets.items():
        schema = vocabulary.datasets[name]
        if schema is not None and is_dataclass(schema):
            section = (*DATASETS, name, "options")
            dataset.options = _completed(schema, dataset.options, section, where)
            origins.update({(*section, key): f"{schema.__name__} default" for key in dataset.options})
    return origins


def _completed(schema: type, given: dict[str, Any], section: Key, where: Where) -> dict[str, Any]:
    types = get_type_hints(schema)

    def wrong(key: str, sentence: str) -> ConfigError:
        return refusal(where((*section, key)), f"{dotted((*section, key))} {sentence}")

    values = dict(given)
    for key, value in given.items():
        words = _words(types[key])
        if words and value not in words:
            raise wrong(key, f"has no choice '{value}', {hint(str(value), words)}")
        values[key] = words.get(value, value) if words else value
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), values)
    except OmegaConfBaseException as error:
        key = str(error.full_key).partition("[")[0].partition(".")[0]
        raise wrong(key, f"must be {expected(types[key])}, not {given[key]!r}") from None
    for key in sorted(OmegaConf.missing_keys(merged)):
        raise wrong(key, f"has no value: write {dotted((*section, key))}=... ({expected(types[key])})")
    try:
        OmegaConf.to_object(merged)  # the dataclass's own rules, if it has any
    except ValueError as error:
        raise refusal(where(section), f"{dotted(section)}: {error}") from None
    plain = _plain(OmegaConf.to_container(merged))
    assert isinstance(plain, dict)
    return plain


def _words(wanted: Any) -> dict[str, Enum]:
    """The words of an enum option, which are its values; nothing for another type."""
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return {str(member.value): member for member in wanted}
    return {}


def _plain(value: Any) -> Any:
    """What YAML can hold: an enum as its value, a path as text, a tuple as a list."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
