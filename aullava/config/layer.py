"""One source of settings, a YAML file or one override, with the place of every key in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aullava.config.errors import refusal

COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True)
class Layer:
    """Settings of one source, not yet checked against the schema.

    Attributes:
        name: the file as the user would write it, or `COMMAND_LINE`.
        values: the nested settings; interpolations stay unresolved.
        lines: line of each key in the file, counted from 1; empty for the command line.
        extends: the fragments that the file builds on, in merging order.
    """

    name: str
    values: dict[str, Any]
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    extends: tuple[str, ...] = ()

    def at(self, path: tuple[str, ...]) -> str:
        """The place of a key, or of the nearest key around it: ``experiments/demo.yaml:7``."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return f"{self.name}:{self.lines[path[:length]]}"
        return self.name


def plain(path: Path) -> Path:
    """`path` made absolute and without ``..``; links stay, so that the user meets the names he wrote."""
    return Path(os.path.abspath(path))


def shown(path: Path) -> str:
    """`path` from the current folder when it lies below it, absolute otherwise."""
    absolute, here = plain(path), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def read_layer(path: Path) -> Layer:
    """Read one YAML file.

    Raises:
        ConfigError: it is missing, unreadable, empty, not YAML (with the line) or not a mapping of keys, or
            its `extends` is not a list of names.
    """
    name = shown(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise refusal(name, "is not UTF-8 text, so it is no experiment file") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise refusal(name, f"cannot be read ({reason}): give a file like experiments/demo.yaml") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            raise refusal(name, "is empty: write at least one key, such as 'extends: [base]'")
        if not isinstance(node, yaml.MappingNode):
            raise refusal(f"{name}:{node.start_mark.line + 1}", "is no mapping: write keys as 'key: value'")
        values = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except yaml.YAMLError as error:
        raise _syntax_error(name, error) from None
    except OmegaConfBaseException as error:
        raise refusal(_line_of(name, text), f"cannot be read: {_first_line(error)}") from None
    assert isinstance(values, dict)  # the root is a mapping node
    extends = values.pop("extends", None)
    layer = Layer(name, {str(key): value for key, value in values.items()}, dict(_lines(node)))
    return replace(layer, extends=_names(extends, layer.at(("extends",))))


def parse_value(key: str, text: str) -> Any:
    """The value of an override ``key=text``, read by OmegaConf's grammar: YAML, ``[a, b]`` for lists.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        yaml.compose(text, Loader=yaml.SafeLoader)  # OmegaConf may parse with libyaml, which says less
        parsed = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        reason = getattr(error, "problem", None) or _first_line(error)
        raise refusal(COMMAND_LINE, f"the value of {key}={text} cannot be read: {reason}") from None
    assert isinstance(parsed, dict)
    return parsed["value"]


def _names(extends: Any, place: str) -> tuple[str, ...]:
    names = [] if extends is None else [extends] if isinstance(extends, str) else extends
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise refusal(place, "extends must be a list of fragments, such as [base, data/synthetic]")
    return tuple(name.removesuffix(".yaml") for name in names)


def _lines(node: yaml.MappingNode, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], int]]:
    """The line of every key of a YAML mapping and of the mappings inside it."""
    found = []
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            here = (*path, key.value)
            found.append((here, key.start_mark.line + 1))
            if isinstance(value, yaml.MappingNode):
                found.extend(_lines(value, here))
    return found


def _syntax_error(name: str, error: yaml.YAMLError) -> Exception:
    mark = getattr(error, "problem_mark", None)
    where = name if mark is None else f"{name}:{mark.line + 1}"
    reason = getattr(error, "problem", None) or str(error)
    return refusal(where, f"is not valid YAML here: {reason}")


def _line_of(name: str, text: str) -> str:
    """The place of the first reference ``${``, all that OmegaConf parses in a file and YAML does not."""
    for index, line in enumerate(text.splitlines(), start=1):
        if "${" in line:
            return f"{name}:{index}"
    return name


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
