"""Keeps the checked table of a dataset on disk, so that its label files are read once and not at every start.

The arrays are memory-mapped: two million rows open at once, take memory only for what is looked at, and are
shared by all processes of a machine. An entry holds for exactly the label files (name, size, time), options
and code it was made from; one that is damaged, or of another version, is made anew without a word.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import sys
import tempfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from stat import S_ISDIR
from typing import Any

import numpy as np

from datamodules.findings import Finding
from datamodules.index import Index

VERSION = 1
"""Raised whenever the files of an entry change their form."""

CHECKED = ("sample_ids", "subjects", "labels")
"""Columns whose checksum is compared: what decides who is trained and tested with which labels."""

_COLUMNS = ("sample_ids", "subjects", "places", "labels", "origins")
_META = "meta.json"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept.

    Attributes:
        index: sorted and checked, with a column for each of `codes`.
        codes: Action Units of the label columns.
        findings: what was found while the label files were read.
        fingerprint: of `index`.
    """

    index: Index
    codes: tuple[str, ...]
    findings: tuple[Finding, ...]
    fingerprint: str


def cache_folder() -> Path:
    """Where entries are kept: ``aullava/index`` in XDG_CACHE_HOME, or in ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aullava" / "index"


def place_of(dataset: str, *parts: object) -> Path:
    """The folder of one dataset set up in one way (root, options): at most one entry each."""
    return cache_folder() / f"{dataset}-{_hashed(repr(parts))}"


def key_of(files: Iterable[Path | str], *parts: object) -> str:
    """What an entry is valid for: the files by path, size and time, and `parts` by their repr.

    A folder among the files stands for the names in it: its time changes when a file joins or leaves. A file
    that is missing is told apart from one that is there.
    """
    digest = hashlib.sha256(repr((VERSION, parts)).encode())
    for path in sorted(set(map(str, files))):
        try:
            stat = os.stat(path)  # noqa: PTH116 - FEAFA has 230,000 label files
        except OSError:
            digest.update(f"{path}\0missing\0".encode(errors="surrogateescape"))
            continue
        size = 0 if S_ISDIR(stat.st_mode) else stat.st_size
        digest.update(f"{path}\0{size}\0{stat.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def code_hash(dataset: type) -> str:
    """Of this package and the dataset's own file: a corrected reader must not find what a wrong one left."""
    sources = {str(path) for path in Path(__file__).parent.rglob("*.py")}
    sources |= {found for one in dataset.__mro__ if (found := _source(one)) is not None}
    return _hashed("".join(hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in sorted(sources)))


def _source(one: type) -> str | None:
    """The file of a class outside the standard library and the installed packages it builds on."""
    package = one.__module__.partition(".")[0]
    if package in sys.stdlib_module_names or package in ("lightning", "torch"):
        return None
    try:
        return inspect.getsourcefile(one)
    except (OSError, TypeError):
        return None


def load(place: Path, key: str) -> Entry | None:
    """The entry at a place; None if there is none for this key, or it is damaged."""
    try:
        meta = json.loads((place / _META).read_text(encoding="utf-8"))
        if meta["key"] != key:
            return None
        for name in CHECKED:
            if _checksum(place / f"{name}.npy") != meta["checksums"][name]:
                return None
        columns = {name: _mapped(place / f"{name}.npy") for name in _COLUMNS}
        attributes = {name: _mapped(place / f"attribute_{name}.npy") for name in meta["attributes"]}
        if len({len(column) for column in (*columns.values(), *attributes.values())}) != 1:
            return None
        index = Index(**columns, attributes=attributes)
        findings = tuple(Finding(**finding) for finding in meta["findings"])
        return Entry(index, tuple(meta["codes"]), findings, meta["fingerprint"])
    except (OSError, ValueError, LookupError, TypeError, EOFError):
        return None


def save(place: Path, key: str, index: Index, codes: Sequence[str], findings: Iterable[Finding]) -> None:
    """Keep an index; a disk that is full or cannot be written to only means that nothing is kept."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".writing-") as folder:
            written = Path(folder) / "entry"
            written.mkdir()
            _write(written, key, index, codes, findings)
            old = Path(folder) / "old"
            if place.exists():
                place.rename(old)  # whoever has it open keeps its files until they are closed
            written.rename(place)
    except OSError:
        return


def _write(folder: Path, key: str, index: Index, codes: Sequence[str], findings: Iterable[Finding]) -> None:
    for name in _COLUMNS:
        np.save(folder / f"{name}.npy", getattr(index, name), allow_pickle=False)
    for name, column in index.attributes.items():
        np.save(folder / f"attribute_{name}.npy", column, allow_pickle=False)
    meta = {
        "key": key,
        "codes": list(codes),
        "attributes": sorted(index.attributes),
        "checksums": {name: _checksum(folder / f"{name}.npy") for name in CHECKED},
        "findings": [asdict(finding) for finding in findings],
        "fingerprint": index.fingerprint(),
    }
    (folder / _META).write_text(json.dumps(meta), encoding="utf-8")


def _mapped(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _checksum(path: Path) -> int:
    """CRC-32, read in blocks and not through a map, so that the process keeps none of it."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
