"""The first page of a store: `store.json` says of what it was made and how, and which files belong to it."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from datamodules.errors import BrokenStoreError, DatasetError
from datamodules.faces import FaceSettings
from datamodules.whole_file import whole_file

NAME: Final = "store.json"
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """What decides every byte of the crops.

    Attributes:
        dataset: registered name.
        pictures: fingerprint of the frames: sample ids, people and places of the index.
        faces: how the faces were cut out.
        quality: of the JPEGs, 1 to 100.
        detector: which detector, in words.
    """

    dataset: str
    pictures: str
    faces: FaceSettings
    quality: int
    detector: str

    def identity(self) -> str:
        """A short hash of all of it."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class StoreFile:
    """A finished file of a store: its path below the store, its records, its size and CRC-32."""

    name: str
    rows: int
    bytes: int
    crc32: int

    @classmethod
    def of(cls, store: Path, name: str, rows: int) -> Self:
        """Measure the file ``name`` of a store."""
        with (store / name).open("rb") as file:
            crc = 0
            while block := file.read(1 << 20):
                crc = zlib.crc32(block, crc)
            return cls(name, rows, file.tell(), crc)


@dataclass(frozen=True, slots=True)
class StorePage:
    """What `store.json` holds.

    Attributes:
        settings: of what it was made and how.
        shards: its files; None while they are being written.
        contents_crc: CRC-32 of the table of contents, 0 while there is none.
    """

    settings: StoreSettings
    shards: tuple[StoreFile, ...] | None = None
    contents_crc: int = 0


def read_page(store: Path) -> StorePage | None:
    """The page of a store, None if there is none.

    Raises:
        BrokenStoreError: it is damaged.
        DatasetError: another version of this code wrote it.
    """
    path = store / NAME
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        version = held["version"]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenStoreError.of(path, str(error).partition("\n")[0]) from None
    if version != VERSION:
        raise DatasetError(
            f"{path} is of version {version}, this code reads version {VERSION}: "
            "run `aullava prepare` into another folder"
        )
    if held.pop("crc32", None) != _checksum(held):
        raise BrokenStoreError.of(path, "it fails its checksum")
    settings = held["settings"]
    shards = held["shards"]
    return StorePage(
        StoreSettings(**{**settings, "faces": FaceSettings(**settings["faces"])}),
        None if shards is None else tuple(StoreFile(**shard) for shard in shards),
        held["contents_crc"],
    )


def write_page(store: Path, page: StorePage) -> None:
    """Write `store.json` under a temporary name and rename it."""
    held: dict[str, Any] = {"format": "aullava faces", "version": VERSION, **asdict(page)}
    held["shards"] = None if page.shards is None else [asdict(shard) for shard in page.shards]
    held["crc32"] = _checksum(held)
    with whole_file(store / NAME) as draft:
        draft.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")


def differences(wanted: StoreSettings, found: StoreSettings) -> str:
    """What differs between two settings, in words; empty if nothing does."""
    first, second = _flat(wanted), _flat(found)
    said = [f"{key} {second[key]} there, {first[key]} here" for key in first if first[key] != second[key]]
    return ", ".join("other frames there" if text.startswith("pictures ") else text for text in said)


def _flat(settings: StoreSettings) -> dict[str, Any]:
    cells = asdict(settings)
    return {**cells.pop("faces"), **cells}


def _checksum(held: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(held, sort_keys=True).encode())
