"""What `aullava datasets` prints: the registered datasets as a table, or one of them in full.

Reads the class attributes `aus`, `scale`, `protocols`, `licence` and `layout` of the dataset contract.
Importing the classes may load Lightning.
"""

from __future__ import annotations

import inspect
from dataclasses import MISSING, Field, fields, is_dataclass
from textwrap import indent
from typing import Any

from aullava.config.paths import DATASETS, dotted
from datamodules import registry
from datamodules.action_units import Scale, action_unit
from datamodules.options import DatasetSettings, LoaderSettings

FROM_FILES = "as in its files"
UNSTATED = "not stated"


def overview() -> str:
    """One row per registered dataset.

    Raises:
        DatasetError: a package registered a dataset that cannot be loaded.
    """
    rows = [("name", "AUs", "scale", "protocols", "licence")]
    rows += [_row(name) for name in registry.names()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = [
        "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def description(name: str) -> str:
    """One dataset in full: what it is, scale, protocols, licence, options, expected layout, Action Units.

    Raises:
        UnknownDatasetError: no dataset has this name; names the nearest.
        DatasetError: the package that registered it cannot be loaded.
    """
    dataset = registry.load(name)
    codes = tuple(getattr(dataset, "aus", ()))
    parts = [
        f"{name}: {(inspect.getdoc(dataset) or UNSTATED).replace('**', '')}",
        f"\nscale      {_scale(name, explained=True)}",
        f"protocols  {_protocols(dataset)}",
        f"licence    {_licence(dataset)}",
        f"set by     {dotted((*DATASETS, name))}.root, .aus, .protocol, .fold, .weight, .formats, .prepared, "
        ".faces, .strict, .log_images, .options",
        _options(name),
        "expected layout\n" + indent(inspect.cleandoc(getattr(dataset, "layout", "") or UNSTATED), "  "),
        f"Action Units: {len(codes) or FROM_FILES}\n"
        + "\n".join(f"  {code:<7}{action_unit(code).name}" for code in codes),
    ]
    return "\n".join(part.rstrip() for part in parts if part)


def _row(name: str) -> tuple[str, str, str, str, str]:
    dataset = registry.load(name)
    count = len(getattr(dataset, "aus", ()))
    return (
        name,
        str(count or FROM_FILES),
        _scale(name),
        _protocols(dataset),
        _licence(dataset).partition("\n")[0],
    )


def _scale(name: str, explained: bool = False) -> str:
    """The scale of the labels; where options decide, that of their defaults, and that they decide."""
    dataset, options = registry.load(name), registry.option_types()[name]
    scale = getattr(dataset, "scale", None)
    if scale is None:
        if options is None or any(_default(one) is MISSING for one in fields(options)):
            return FROM_FILES
        scale = dataset(DatasetSettings(options=options()), LoaderSettings()).coded_scale()
        said = Scale(scale).in_words + "; options decide" if explained else "by options"
        return f"{Scale(scale).value} ({said})"
    return f"{Scale(scale).value} ({Scale(scale).in_words})" if explained else Scale(scale).value


def _default(option: Field[Any]) -> Any:
    """The default of an option; MISSING: it must be given."""
    return option.default_factory() if option.default_factory is not MISSING else option.default


def _protocols(dataset: type) -> str:
    return ", ".join(getattr(dataset, "protocols", ())) or UNSTATED


def _licence(dataset: type) -> str:
    return str(getattr(dataset, "licence", "") or UNSTATED)


def _options(name: str) -> str:
    """The options with their defaults, one per line; nothing for a dataset without options."""
    options = registry.option_types()[name]
    if options is None or not is_dataclass(options):
        return ""
    lines = []
    for field in fields(options):
        default = _default(field)
        lines.append(f"  {field.name} = {'(must be given)' if default is MISSING else default}")
    return "\n".join(["options", *lines])
