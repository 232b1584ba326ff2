"""Experiment files and the fragments they extend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aullava.config.errors import refusal
from aullava.config.layer import COMMAND_LINE, Layer, plain, read_layer, shown
from aullava.config.paths import DATASETS, Key, dotted, leaves
from aullava.config.words import hint

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
"""The experiments of this repository: where fragments are looked up last."""


def read_files(path: Path, swaps: Mapping[str, str]) -> dict[Path, Layer]:
    """Read an experiment file and all it extends, in the order in which they are merged.

    Each file comes after what it extends, and once, at its first place. A swap (``{"data": "bp4d"}``) stands
    in for the fragments of its group wherever they are extended; when none is, it goes below the file itself.

    Raises:
        ConfigError: a file cannot be read, a fragment does not exist, files extend each other in a circle, or
            a swap finds nothing to replace and could not take effect.
    """
    reader = _Reader(plain(path), swaps)
    reader.visit(reader.root, ())
    return reader.layers


class _Reader:
    """Walks the tree of `extends`; `layers` grows in merging order."""

    def __init__(self, root: Path, swaps: Mapping[str, str]) -> None:
        self.root = root
        self.swaps = swaps
        self.unused = set(swaps)
        self.layers: dict[Path, Layer] = {}

    def visit(self, path: Path, chain: tuple[Path, ...]) -> None:
        if path in chain:
            circle = " -> ".join(shown(link) for link in (*chain[chain.index(path) :], path))
            raise refusal(shown(path), f"extends itself in a circle ({circle}): take one of these out")
        if path in self.layers:
            return
        layer = _existing(path, self.root)
        place = layer.at(("extends",))
        for name in layer.extends:
            self.visit(self._fragment(name, path, place), (*chain, path))
        if path == self.root:
            for group in sorted(self.unused):
                self._add(group, layer, (*chain, path))
        self.layers[path] = layer

    def _fragment(self, name: str, path: Path, place: str) -> Path:
        group = name.partition("/")[0] if "/" in name else ""
        if group not in self.swaps:
            return find_fragment(name, path, place)
        self.unused.discard(group)
        return find_fragment(f"{group}/{self.swaps[group]}", self.root, COMMAND_LINE)

    def _add(self, group: str, root: Layer, chain: tuple[Path, ...]) -> None:
        """Put a fragment below a file that extends none of its group, unless the file would overrule it."""
        swap = f"{group}={self.swaps[group]}"
        before = set(self.layers)
        self.visit(find_fragment(f"{group}/{self.swaps[group]}", self.root, COMMAND_LINE), chain)
        added = [layer for path, layer in self.layers.items() if path not in before]
        in_the_way = _in_the_way(root, added)
        if in_the_way is not None:
            raise refusal(
                COMMAND_LINE,
                f"{swap} cannot take the place of what {root.name} says itself ({dotted(in_the_way)}): "
                "swap it in an experiment that extends fragments, or give single keys instead",
            )


def _in_the_way(root: Layer, added: Sequence[Layer]) -> Key | None:
    """The key by which a file overrules added fragments: a dataset of its own, or all keys are its own."""
    own = [key for key, _ in leaves(root.values)]
    new = [key for layer in added for key, _ in leaves(layer.values)]
    datasets = [key for key in own if key[: len(DATASETS)] == DATASETS]
    if datasets and any(key[: len(DATASETS)] == DATASETS for key in new):
        return datasets[0]
    return new[0] if new and set(new) <= set(own) else None


def find_fragment(name: str, file: Path, place: str) -> Path:
    """The file of the fragment `name`, looked up beside `file`, in its parent folders, then in `EXPERIMENTS`.

    Args:
        name: path without suffix, such as ``base`` or ``data/synthetic``.
        file: the experiment file that the fragment is for.
        place: where the name was written, for the refusal.

    Raises:
        ConfigError: there is none; names the nearest there is.
    """
    folders = list(dict.fromkeys([*file.parents, EXPERIMENTS]))
    for folder in folders:
        candidate = plain(folder / f"{name}.yaml")
        if candidate.is_file():
            return candidate
    group = Path(name).parent
    known = {str(group / item.stem) for folder in folders for item in (folder / group).glob("*.yaml")}
    raise refusal(place, f"there is no fragment '{name}', {hint(name, sorted(known))}")


def _existing(path: Path, root: Path) -> Layer:
    """Read `path`; a wrong name of the experiment itself is answered with the nearest file beside it."""
    if path == root and not path.exists():
        beside = sorted(shown(item) for item in path.parent.glob("*.yaml"))
        if beside:
            raise refusal(shown(path), f"there is no such file, {hint(shown(path), beside)}")
    return read_layer(path)
