"""Which datasets there are, by name, without importing any of them: a config is checked before torch loads.

Built-in datasets stand in `BUILT_IN`. Another installed package adds its own through entry points:

    [project.entry-points."aullava.datamodules"]
    my_faces = "my_package.faces:MyFaces"
    [project.entry-points."aullava.datamodules.options"]   # only if it takes options
    my_faces = "my_package.options:MyFacesOptions"         # a dataclass, in a module without torch

Nothing else is ever imported: a name in a config is looked up here, and never taken for a class path.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata

from datamodules.errors import DatasetError, UnknownDatasetError

GROUP = "aullava.datamodules"
OPTIONS_GROUP = "aullava.datamodules.options"
OURS = "aullava"


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a dataset is.

    Attributes:
        target: ``module:Class`` of the dataset.
        options: ``module:Class`` of its options dataclass, None when it takes none.
        package: the installed package that brings it, for messages.
    """

    target: str
    options: str | None = None
    package: str = OURS


_SYNTHETIC_OPTIONS = "datamodules.options:SyntheticOptions"
_CORE_OPTIONS = "datamodules.dataset_options.core:"
_OTHER_OPTIONS = "datamodules.dataset_options.other:"
BUILT_IN: Mapping[str, Entry] = {
    "synthetic_bp4d": Entry("datamodules.synthetic:SyntheticBP4D", _SYNTHETIC_OPTIONS),
    "synthetic_disfa": Entry("datamodules.synthetic:SyntheticDISFA", _SYNTHETIC_OPTIONS),
    "synthetic_feafa": Entry("datamodules.synthetic:SyntheticFEAFA", _SYNTHETIC_OPTIONS),
    "bp4d": Entry("datamodules.bp4d:BP4D", _CORE_OPTIONS + "BP4DOptions"),
    "bp4d_plus": Entry("datamodules.bp4d_plus:BP4DPlus", _CORE_OPTIONS + "BP4DPlusOptions"),
    "disfa": Entry("datamodules.disfa:DISFA", _CORE_OPTIONS + "DISFAOptions"),
    "disfa_plus": Entry("datamodules.disfa_plus:DISFAPlus", _CORE_OPTIONS + "DISFAPlusOptions"),
    "feafa": Entry("datamodules.feafa:FEAFA", _CORE_OPTIONS + "FEAFAOptions"),
    "gft": Entry("datamodules.gft:GFT", _OTHER_OPTIONS + "GFTOptions"),
    "unbc": Entry("datamodules.unbc:UNBC", _OTHER_OPTIONS + "UNBCOptions"),
    "raf_au": Entry("datamodules.raf_au:RAFAU", _OTHER_OPTIONS + "RAFAUOptions"),
    "ck_plus": Entry("datamodules.ck_plus:CKPlus", _OTHER_OPTIONS + "CKPlusOptions"),
    "aff_wild2": Entry("datamodules.aff_wild2:AffWild2", _OTHER_OPTIONS + "AffWild2Options"),
    "emotionet": Entry("datamodules.emotionet:EmotioNet", _OTHER_OPTIONS + "EmotioNetOptions"),
    "casme2": Entry("datamodules.casme2:CASME2", _OTHER_OPTIONS + "CASME2Options"),
    "samm": Entry("datamodules.samm:SAMM", _OTHER_OPTIONS + "SAMMOptions"),
    "faba": Entry("datamodules.faba:FABA", _OTHER_OPTIONS + "FABAOptions"),
    "folder": Entry("datamodules.folder:Folder", "datamodules.options:FolderOptions"),
}


def names() -> tuple[str, ...]:
    """Every registered name: the built-in datasets, then those of other packages in alphabetical order."""
    return tuple(_entries())


def load(name: str) -> type:
    """Import the class of a dataset (this may load torch and Lightning).

    Raises:
        UnknownDatasetError: no dataset has this name; names the nearest. Class paths are such names.
        DatasetError: the package that registered it cannot be imported, or two register the same name.
    """
    entries = _entries()
    if name not in entries:
        raise UnknownDatasetError.of(name, entries)
    return _class(name, entries[name].target, entries[name].package)


def option_types() -> Mapping[str, type | None]:
    """The options dataclass of every dataset by name, None for one without; imported when it is looked up."""
    return _OptionTypes(_entries())


class _OptionTypes(Mapping[str, type | None]):
    """Reads like a dict, but imports an options dataclass only for a dataset that a config names."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> type | None:
        entry = self._entries[name]
        return None if entry.options is None else _class(name, entry.options, entry.package)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _entries() -> dict[str, Entry]:
    """The built-in entries and those of installed packages, read anew at each call.

    Raises:
        DatasetError: a package registers a name that is taken, or that is not a plain word.
    """
    given = metadata.entry_points(group=OPTIONS_GROUP)
    options = {(point.name, _package(point)): point.value for point in given}
    found = dict(BUILT_IN)
    points = [(point.name, _package(point), point) for point in metadata.entry_points(group=GROUP)]
    for _, package, point in sorted(points, key=lambda row: row[:2]):
        entry = Entry(point.value, options.get((point.name, package)), package)
        if not point.name.isidentifier():
            raise DatasetError(
                f"package '{package}' registers the dataset '{point.name}', which is no plain word: "
                "rename it in the entry points of that package (letters, digits and '_')"
            )
        # The same package found twice on the path (a checkout and its installed copy) is no conflict.
        if found.get(point.name, entry) != entry:
            first = found[point.name].package
            raise DatasetError(
                f"dataset '{point.name}' is registered by both '{first}' and '{package}': "
                "uninstall one of them, or rename the dataset in its entry points"
            )
        found[point.name] = entry
    return found


def _package(point: metadata.EntryPoint) -> str:
    return "(unnamed)" if point.dist is None else point.dist.name


def _class(name: str, target: str, package: str) -> type:
    """The class at ``module:Class``; trouble in another package is for the user to mend, in ours a bug."""
    module, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        if package == OURS:
            raise
        raise DatasetError(
            f"dataset '{name}' of package '{package}' cannot be loaded from {target} ({error}): "
            "repair or uninstall that package"
        ) from error
    if not isinstance(found, type):
        raise DatasetError(
            f"dataset '{name}' of package '{package}' is registered as {target}, which is no class"
        )
    return found
