"""The table of contents of a store: every sample with its shard and row, sorted by name, mapped from disk."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datamodules.errors import BrokenStoreError
from datamodules.whole_file import whole_file

NAME: Final = "contents.arrow"
_COLUMNS: Final = ["sample_id", "place", "shard", "row", "reason"]


Line = tuple[str, str, str | None]
"""A sample, its place, and why it has no crop (None: it has one)."""


def write_contents(store: Path, shards: Iterable[Iterable[Line]]) -> int:
    """Write the table of these shards, under a temporary name first.

    Args:
        store: folder of the store.
        shards: the lines of each shard, in their order.

    Returns:
        CRC-32 of the file.
    """
    rows: list[tuple[bytes, bytes, int, int, str | None]] = []
    for number, shard in enumerate(shards):
        rows += [
            (key.encode(), place.encode(), number, at, why) for at, (key, place, why) in enumerate(shard)
        ]
    rows.sort(key=lambda row: row[0])
    ids, places, numbers, ats, reasons = zip(*rows, strict=True)
    columns = [
        _fixed(ids),
        _fixed(places),
        pa.array(numbers, pa.uint32()),
        pa.array(ats, pa.uint32()),
        pa.array(reasons, pa.string()),
    ]
    batch = pa.RecordBatch.from_arrays(columns, names=_COLUMNS)
    with (
        whole_file(store / NAME) as draft,
        draft.open("wb") as file,
        pa.ipc.new_file(file, batch.schema) as writer,
    ):
        writer.write_batch(batch)
    return zlib.crc32((store / NAME).read_bytes())


class Contents:
    """An open table of contents.

    Args:
        store: folder of the store.
        crc: what its file must come to.

    Raises:
        BrokenStoreError: missing or damaged.
    """

    def __init__(self, store: Path, crc: int) -> None:
        path = store / NAME
        try:
            with pa.memory_map(str(path)) as file:
                if zlib.crc32(file.read_buffer()) != crc:
                    raise BrokenStoreError.of(path, "it fails its checksum")
                file.seek(0)
                batch = pa.ipc.open_file(file).get_batch(0)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise BrokenStoreError.of(path, str(error).partition("\n")[0]) from None
        self.ids = _bytes_of(batch.column(0))
        self.places = _bytes_of(batch.column(1))
        self.shards = batch.column(2).to_numpy()
        self.rows = batch.column(3).to_numpy()
        self._reasons = batch.column(4)

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, sample_id: str) -> int | None:
        """The line of a sample, None if there is none."""
        key = sample_id.encode()
        if len(key) > self.ids.itemsize:  # numpy would copy the whole column to a wider one
            return None
        line = int(np.searchsorted(self.ids, np.bytes_(key)))
        return line if line < len(self.ids) and self.ids[line] == key else None

    def lines(self, sample_ids: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
        """[N]: the line of each sample, -1 where there is none."""
        wanted = np.char.encode(sample_ids, "utf-8")
        lines = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        return np.where(self.ids[lines] == wanted, lines, -1)

    def has_face(self) -> npt.NDArray[np.bool_]:
        """[N]: which lines have a crop."""
        return np.asarray(self._reasons.is_null().to_numpy(zero_copy_only=False))

    def reason(self, line: int) -> str | None:
        """Why a line has no crop; None if it has one."""
        reason: str | None = self._reasons[line].as_py()
        return reason


def _fixed(cells: Sequence[bytes]) -> pa.Array:
    """Texts of one width, filled up with zeros, so that numpy can search them in place."""
    packed = np.array(cells, dtype=np.bytes_)
    kind = pa.binary(max(1, packed.itemsize))
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(packed), [None, pa.py_buffer(packed.tobytes())])


def _bytes_of(column: Any) -> npt.NDArray[np.bytes_]:
    return np.frombuffer(column.buffers()[1], dtype=f"S{column.type.byte_width}", count=len(column))
