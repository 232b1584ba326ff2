"""One shard of a store: an Arrow IPC file, a record per frame, written in a stream, read from a memory map.

Each record has two checksums (CRC-32): one of the name and the JPEG, verified whenever a picture is read, one
of everything else. A length or offset that a damaged file states is checked before it is followed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datamodules.errors import BrokenStoreError
from datamodules.whole_file import whole_file

BATCH: Final = 256
"""Records of one batch: what a writer holds in memory."""
SCHEMA: Final = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        pa.field("place", pa.string(), nullable=False),
        pa.field("jpeg", pa.binary()),
        pa.field("reason", pa.string()),
        pa.field("box", pa.list_(pa.float32(), 4)),
        pa.field("landmarks", pa.list_(pa.float32(), 10)),
        pa.field("score", pa.float32()),
        pa.field("picture_crc", pa.uint32(), nullable=False),
        pa.field("about_crc", pa.uint32(), nullable=False),
    ]
)
_MADE_FOR: Final = b"aullava_store"
_JPEG, _PICTURE_CRC = SCHEMA.get_field_index("jpeg"), SCHEMA.get_field_index("picture_crc")


@dataclass(frozen=True, slots=True)
class Record:
    """One frame of a store.

    Attributes:
        sample_id: as in the index.
        subject: the person.
        place: where the dataset has the original frame.
        jpeg: the crop; None if there is none.
        reason: why there is none; None for a crop.
        box: left, top, width, height of the face in the original frame.
        landmarks: ten numbers, x and y of five points in the original frame; NaN where not known.
        score: how sure the detector was.
    """

    sample_id: str
    subject: str
    place: str
    jpeg: bytes | None = None
    reason: str | None = None
    box: tuple[float, ...] | None = None
    landmarks: tuple[float, ...] | None = None
    score: float | None = None

    def checksum(self) -> int:
        """CRC-32 of everything but the picture."""
        numbers = np.array([*(self.box or ()), *(self.landmarks or ()), self.score or 0.0], np.float32)
        text = repr((self.sample_id, self.subject, self.place, self.reason, self.box is None))
        return zlib.crc32(numbers.tobytes(), zlib.crc32(text.encode()))


def picture_checksum(sample_id: str, jpeg: Any) -> int:
    """CRC-32 of a name and the bytes of its picture."""
    return zlib.crc32(jpeg, zlib.crc32(sample_id.encode()))


def write_shard(path: Path, store: str, records: Iterable[Record]) -> None:
    """Write one shard under a temporary name, flush it to the disk, and rename it.

    Args:
        path: of the finished file.
        store: identity of the store it belongs to.
        records: at least one; taken one by one.
    """
    schema = SCHEMA.with_metadata({_MADE_FOR: store.encode()})
    with whole_file(path) as draft, draft.open("wb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in _batches(records):
            writer.write_batch(batch)


def _batches(records: Iterable[Record]) -> Iterator[pa.RecordBatch]:
    waiting: list[dict[str, Any]] = []
    for record in records:
        cells = {name: getattr(record, name) for name in SCHEMA.names[:-2]}
        cells["picture_crc"] = picture_checksum(record.sample_id, record.jpeg or b"")
        cells["about_crc"] = record.checksum()
        waiting.append(cells)
        if len(waiting) == BATCH:
            yield pa.RecordBatch.from_pylist(waiting, SCHEMA)
            waiting = []
    if waiting:
        yield pa.RecordBatch.from_pylist(waiting, SCHEMA)


class Shard:
    """An open shard; its file is mapped, so that processes share the memory.

    Args:
        path: the file.
        store: identity of the store it must belong to; None: any.

    Raises:
        BrokenStoreError: truncated, damaged, or of another store.
    """

    def __init__(self, path: Path, store: str | None = None) -> None:
        self.path = path
        try:
            with pa.memory_map(str(path)) as file:
                reader = pa.ipc.open_file(file)
                self._batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        except (pa.ArrowException, OSError, ValueError) as error:
            raise BrokenStoreError.of(path, _first_line(error)) from None
        if not reader.schema.equals(SCHEMA):
            raise BrokenStoreError.of(path, "its columns are not those of a shard")
        made_for = (reader.schema.metadata or {}).get(_MADE_FOR, b"").decode(errors="replace")
        if store is not None and made_for != store:
            raise BrokenStoreError.of(path, "it belongs to another store")
        if any(batch.num_rows != BATCH for batch in self._batches[:-1]):
            raise BrokenStoreError.of(path, "a batch has lost its rows")
        self._columns: dict[int, tuple[npt.NDArray[Any], ...]] = {}
        self._validated: set[int] = set()

    def __len__(self) -> int:
        return sum(batch.num_rows for batch in self._batches)

    def jpeg(self, row: int, sample_id: str) -> npt.NDArray[np.uint8]:
        """The bytes of a picture, uint8 [n], a view of the file.

        Raises:
            BrokenStoreError: they are not the ones that were written for this sample.
        """
        number, place = divmod(row, BATCH)
        offsets, values, sums = self._columns.get(number) or self._pictures(number)
        start, end = int(offsets[place]), int(offsets[place + 1])
        if not 0 <= start <= end <= len(values):
            raise self._damaged(sample_id)
        found: npt.NDArray[np.uint8] = values[start:end]
        if picture_checksum(sample_id, found) != sums[place]:
            raise self._damaged(sample_id)
        return found

    def record(self, row: int) -> Record:
        """Everything about one frame.

        Raises:
            BrokenStoreError: it is not what was written.
        """
        number, place = divmod(row, BATCH)
        batch = self._batches[number]
        if number not in self._validated:
            try:
                batch.validate(full=True)  # offsets and texts, which pyarrow would follow unseen
            except (pa.ArrowException, ValueError) as error:
                raise BrokenStoreError.of(self.path, _first_line(error)) from None
            self._validated.add(number)
        (cells,) = batch.slice(place, 1).to_pylist()
        about, picture = cells.pop("about_crc"), cells.pop("picture_crc")
        box, landmarks = (
            None if cells[name] is None else tuple(cells[name]) for name in ("box", "landmarks")
        )
        record = Record(**{**cells, "box": box, "landmarks": landmarks})
        if record.checksum() != about or picture_checksum(record.sample_id, record.jpeg or b"") != picture:
            raise self._damaged(record.sample_id)
        return record

    def listing(self) -> Iterator[tuple[str, str, str | None]]:
        """Sample id, place, and the reason of a missing crop, of every record in turn."""
        for batch in self._batches:
            columns = (batch.column(name).to_pylist() for name in ("sample_id", "place", "reason"))
            yield from zip(*columns, strict=True)

    def records(self) -> Iterator[Record]:
        """Every record in turn, each verified."""
        return map(self.record, range(len(self)))

    def _pictures(self, number: int) -> tuple[npt.NDArray[Any], ...]:
        """Offsets, bytes and checksums of a batch, as views of the file; kept."""
        batch = self._batches[number]
        _, offsets, values = batch.column(_JPEG).buffers()
        sums = batch.column(_PICTURE_CRC).buffers()[1]
        try:
            columns: tuple[npt.NDArray[Any], ...] = (
                np.frombuffer(offsets, np.int32, batch.num_rows + 1),
                np.frombuffer(values if values is not None else b"", np.uint8),
                np.frombuffer(sums, np.uint32, batch.num_rows),
            )
        except (ValueError, TypeError, BufferError) as error:
            raise BrokenStoreError.of(self.path, _first_line(error)) from None
        self._columns[number] = columns
        return columns

    def _damaged(self, sample_id: str) -> BrokenStoreError:
        return BrokenStoreError.of(self.path, f"sample '{sample_id}' fails its checksum")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
