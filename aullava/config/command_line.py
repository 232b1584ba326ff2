"""What stands behind the file on the command line: ``key=value`` overrides and swapped fragments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aullava.config.errors import refusal
from aullava.config.layer import COMMAND_LINE, Layer, parse_value

GROUPS = ("data", "model", "strategy")


def split_overrides(overrides: Sequence[str]) -> tuple[dict[str, str], tuple[Layer, ...]]:
    """Part the command line into swaps and settings.

    Args:
        overrides: ``data=NAME`` and its like swap the fragment of a group; everything else is ``key=value``
            with a dotted key. The last of two equal keys holds.

    Returns:
        The fragment's name of each swapped group (``{"data": "synthetic"}``), and one layer per setting.

    Raises:
        ConfigError: an override is not ``key=value``, or its value cannot be read.
    """
    swaps: dict[str, str] = {}
    layers = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(key.split(".")):
            raise refusal(COMMAND_LINE, f"'{override}' is not key=value, such as trainer.max_steps=100")
        if key not in GROUPS:
            layers.append(Layer(COMMAND_LINE, _nested(key.split("."), parse_value(key, text))))
        elif text:
            swaps[key] = text
        else:
            raise refusal(COMMAND_LINE, f"'{override}' names no fragment: write {key}=NAME")
    return swaps, tuple(layers)


def _nested(keys: list[str], value: Any) -> dict[str, Any]:
    for key in reversed(keys):
        value = {key: value}
    nested: dict[str, Any] = value
    return nested
