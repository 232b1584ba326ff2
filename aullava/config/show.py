"""A resolved config as text that people read and `resolve` reads back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aullava.config.load import Resolved

# Longer values push their own comment, not everyone's.
WIDEST_COLUMN = 48


def render(resolved: Resolved) -> str:
    """Every key with its value and, as an aligned comment, where the value came from.

    Returns:
        YAML without `extends`: `resolve` of a file with this text gives the same config.
    """
    rows = list(_rows(asdict(resolved.config), (), resolved.provenance))
    widths = [len(text) for text, place in rows if place]
    column = max((width for width in widths if width <= WIDEST_COLUMN), default=0)
    return "".join(f"{text:<{column}}  # {place}\n" if place else f"{text}\n" for text, place in rows)


def save(resolved: Resolved, path: str | Path) -> Path:
    """Write the rendered config to `path`; under a temporary name first, so that no half file is left behind.

    Returns:
        `path`; `resolve(path)` gives the same config on any machine with the same datasets.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_text(render(resolved), encoding="utf-8")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def _rows(values: dict[str, Any], path: tuple[str, ...], places: dict[str, str]) -> Iterator[tuple[str, str]]:
    """One (text, place) per line; a section's own line has no place."""
    indent = "  " * len(path)
    for key, value in values.items():
        here = (*path, key)
        if isinstance(value, dict) and value:
            yield f"{indent}{_text(key)}:", ""
            yield from _rows(value, here, places)
        else:
            yield f"{indent}{_text(key)}: {_text(value)}", places[".".join(here)]


def _text(value: Any) -> str:
    """A value as OmegaConf's YAML reads it back, on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(_text(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(key)}: {_text(item)}' for key, item in value.items())}}}"
    text = str(value)
    return text if _reads_back(text) else json.dumps(text.replace("${", "\\${"), ensure_ascii=False)


def _reads_back(text: str) -> bool:
    """Whether a text needs no quotes, neither before a comment nor inside a list."""
    if not text.isprintable():
        return False
    try:
        read = OmegaConf.to_container(OmegaConf.create(f"alone: {text}  # place\ninside: [{text}]\n"))
    except (yaml.YAMLError, OmegaConfBaseException):
        return False
    return read == {"alone": text, "inside": [text]}
