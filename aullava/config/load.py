"""From an experiment file and a command line to a checked config that knows where each value came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aullava.config import limits, rules
from aullava.config.command_line import split_overrides
from aullava.config.errors import ConfigError, refusal
from aullava.config.fragments import find_fragment, read_files
from aullava.config.keys import conform
from aullava.config.layer import COMMAND_LINE, Layer, plain, shown
from aullava.config.options import complete_options
from aullava.config.paths import DATASETS, Key, Where, dotted, expected, leaves, type_at
from aullava.config.schema import Config, DatasetConfig, Vocabulary

DEFAULT = "schema default"


@dataclass(frozen=True)
class Resolved:
    """A complete config and its history.

    Attributes:
        config: every value filled in and checked.
        provenance: dotted key of every leaf -> ``experiments/demo.yaml:7``, ``command line`` or
            ``schema default`` (``<Options> default`` for an option of a dataset).
        files: every file read, in merging order, the experiment itself last.
        overrides: what stood on the command line.
    """

    config: Config
    provenance: dict[str, str]
    files: tuple[Path, ...]
    overrides: tuple[str, ...]


def resolve(path: str | Path, overrides: Sequence[str] = (), checks: Vocabulary | None = None) -> Resolved:
    """Read an experiment, apply the command line, check everything.

    Merging order: schema defaults, the files of `extends` from left to right (each after what it extends),
    the experiment itself, the command line. Lists are replaced, sections merged. ``${...}`` refers to another
    key or, as ``${oc.env:NAME}``, to the environment. ``???`` demands a value from another file or the user.

    Args:
        path: the experiment file, or the config.yaml of a run.
        overrides: ``key=value``, and ``data=NAME``, ``model=NAME``, ``strategy=NAME`` for other fragments.
        checks: the words of the other rooms; None leaves datasets, options and Action Units unchecked.

    Raises:
        ConfigError: anything that the schema, the limits or `checks` do not allow, in one line.
    """
    swaps, settings = split_overrides(overrides)
    files = read_files(Path(path), swaps)
    config, provenance = _checked([*files.values(), *settings], Path(path), checks)
    return Resolved(config, provenance, tuple(files), tuple(overrides))


def resolve_elsewhere(run: Path, overrides: Sequence[str], checks: Vocabulary) -> Resolved:
    """The config of a run with other datasets in place of its own: ``data=NAME`` among the overrides.

    A dataset that the run has too keeps the run's settings for it.

    Args:
        run: its config.yaml.
        overrides: as on the command line, with ``data=NAME``.
        checks: the words of the other rooms.

    Raises:
        ConfigError: as `resolve`.
    """
    swaps, settings = split_overrides(overrides)
    fragment = find_fragment(f"data/{swaps.pop('data')}", plain(run), COMMAND_LINE)
    others = list(read_files(fragment, {}).values())
    *below, own = read_files(run, swaps).values()
    named = {key[2] for layer in others for key, _ in leaves(layer.values) if key[:2] == DATASETS}
    data = dict(own.values.get("data") or {})
    data["datasets"] = {name: one for name, one in (data.get("datasets") or {}).items() if name in named}
    own = replace(own, values={**own.values, "data": data})
    config, provenance = _checked([*below, *others, own, *settings], run, checks)
    return Resolved(config, provenance, (fragment, run), tuple(overrides))


def resolve_dataset(name: str, overrides: Sequence[str], checks: Vocabulary) -> DatasetConfig:
    """One dataset without an experiment, for the verbs that read it and train nothing.

    Args:
        name: registered name.
        overrides: ``key=value`` with keys below ``data.datasets.<name>``: ``options.camera=right``.
        checks: the words of the other rooms.

    Raises:
        ConfigError: as `resolve`.
    """
    section = dotted((*DATASETS, name))
    _, settings = split_overrides([f"{section}.{override}" for override in overrides])
    alone = Layer(COMMAND_LINE, {"trainer": {"max_steps": 1}, "data": {"datasets": {name: {}}}})
    return _checked([alone, *settings], Path(), checks)[0].data.datasets[name]


def _checked(layers: Sequence[Layer], path: Path, checks: Vocabulary | None) -> tuple[Config, dict[str, str]]:
    """The config of these layers, and where each of its values came from."""
    merged, places, demanded = _merge(layers, checks)

    def where(key: Key) -> str:
        return next((places[key[:end]] for end in range(len(key), 0, -1) if key[:end] in places), "")

    _refuse_missing(merged, {key: place for key, place in demanded.items() if key not in places}, path)
    config = _typed(merged, where)
    limits.check(config, where)
    rules.check(config, checks, where)
    filled = {} if checks is None else complete_options(config, checks, where)
    return config, {dotted(key): where(key) or _default(key, filled) for key, _ in leaves(asdict(config))}


def _default(key: Key, filled: dict[Key, str]) -> str:
    return next((filled[key[:end]] for end in range(len(key), 0, -1) if key[:end] in filled), DEFAULT)


def _merge(
    layers: Sequence[Layer], checks: Vocabulary | None
) -> tuple[DictConfig, dict[Key, str], dict[Key, str]]:
    """The layers over the schema, the place where each value was last set, and where ``???`` demands one."""
    merged = OmegaConf.structured(Config)
    places: dict[Key, str] = {}
    demanded: dict[Key, str] = {}
    for layer in layers:
        values = conform(layer, checks)
        demanded |= {key: layer.at(key) for key, value in leaves(values) if value == MISSING}
        values = _without_missing(values)
        try:
            merged = OmegaConf.merge(merged, values)
        except OmegaConfBaseException as error:
            raise _mismatch(layer, values, error) from None
        places |= {key: layer.at(key) for key, value in leaves(values) if value != {}}
    assert isinstance(merged, DictConfig)
    return merged, places, demanded


def _without_missing(values: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in values.items() if value != MISSING}
    return {key: _without_missing(value) if isinstance(value, dict) else value for key, value in kept.items()}


def _mismatch(layer: Layer, values: dict[str, Any], error: OmegaConfBaseException) -> ConfigError:
    key = _key_of(error)
    got: Any = values
    for name in key:
        got = got[name]
    return refusal(layer.at(key), f"{dotted(key)} must be {expected(type_at(key))}, not {got!r}")


def _refuse_missing(merged: DictConfig, demanded: dict[Key, str], file: Path) -> None:
    """Refuse the first key without a value; `demanded` holds those of ``???`` in a file."""
    values = OmegaConf.to_container(merged, resolve=False)
    assert isinstance(values, dict)
    named = {str(name): value for name, value in values.items()}
    missing = {key: shown(file) for key, value in leaves(named) if value == MISSING} | demanded
    for key, place in missing.items():
        kind = "" if type_at(key) is Any else f" ({expected(type_at(key))})"
        sentence = f"{dotted(key)} has no value: set it, or add {dotted(key)}=...{kind} behind the file"
        raise refusal(place, sentence)


def _typed(merged: DictConfig, where: Where) -> Config:
    """The config as plain dataclass objects, every reference followed."""
    try:
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = _key_of(error)
        reason = str(error).partition("\n")[0]
        raise refusal(where(key), f"{dotted(key)} cannot be worked out: {reason}") from None
    assert isinstance(config, Config)
    return config


def _key_of(error: OmegaConfBaseException) -> Key:
    """The key an OmegaConf error is about; of a list's item, the list."""
    return tuple(str(error.full_key).partition("[")[0].split("."))
