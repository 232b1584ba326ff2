"""Prepared faces: square crops of one dataset, made once by `aullava prepare`, read in any order.

A store is a folder: `store.json` (of what and how), `contents.arrow` (every sample), `shards/*.arrow` (the
crops, a person in one file) and `missing.csv` (the frames without a crop, and why). Everything is checksummed
and mapped: nothing is read before it is needed, and processes share what was read. Why Arrow IPC is in
docs/preparing_data.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import cv2
import numpy as np
import numpy.typing as npt

from datamodules.errors import BrokenStoreError, DatasetError
from datamodules.store_contents import Contents
from datamodules.store_records import Shard
from datamodules.store_settings import StoreFile, StoreSettings, read_page

SHARDS: Final = "shards"


@dataclass(frozen=True, slots=True)
class FaceMeta:
    """Where a crop comes from.

    Attributes:
        subject: the person.
        place: the original frame, as the dataset finds it.
        box: left, top, width, height of the face in that frame.
        landmarks: float32 [5, 2] in that frame: right eye, left eye, nose tip, right and left corner of the
            mouth (the person's own sides); NaN from a detector that has none.
        score: how sure the detector was, 0 to 1.
    """

    subject: str
    place: str
    box: tuple[float, float, float, float]
    landmarks: npt.NDArray[np.float32]
    score: float


class FaceStore:
    """An open store; `FaceStore.open` makes one. Copies in other processes open it themselves."""

    def __init__(
        self, path: Path, settings: StoreSettings, files: tuple[StoreFile, ...], contents: Contents
    ) -> None:
        self.path = path
        self.settings = settings
        self._files = files
        self._contents = contents
        self._open: dict[int, Shard] = {}

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a store and check that all of it is there.

        Raises:
            DatasetError: no store, or not finished.
            BrokenStoreError: a file is missing, damaged or has another size than it was written with.
        """
        folder = Path(path)
        page = read_page(folder)
        if page is None:
            raise DatasetError(
                f"{folder} holds no prepared faces (no store.json): make them with "
                f"`aullava prepare DATASET --root ROOT --out {folder}`"
            )
        if page.shards is None:
            raise DatasetError(
                f"the prepared faces in {folder} are not complete: run the same `aullava prepare` again, "
                "it goes on where it stopped"
            )
        for shard in page.shards:
            file = folder / shard.name
            size = file.stat().st_size if file.is_file() else None
            if size != shard.bytes:
                said = "there is no such file" if size is None else f"it has {size} bytes of {shard.bytes}"
                raise BrokenStoreError.of(file, said)
        return cls(folder, page.settings, page.shards, Contents(folder, page.contents_crc))

    def __len__(self) -> int:
        return int(self._contents.has_face().sum())

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).open, (self.path,))

    def ids(self) -> list[str]:
        """Every sample that has a crop, sorted."""
        return [key.decode() for key in self._contents.ids[self._contents.has_face()].tolist()]

    def missing(self) -> dict[str, str]:
        """Every sample without a crop, and the reason."""
        lines = np.flatnonzero(~self._contents.has_face())
        return {
            self._contents.ids[line].decode(): self._contents.reason(line) or "" for line in lines.tolist()
        }

    def usable(
        self, sample_ids: npt.NDArray[np.str_], places: npt.NDArray[np.str_] | None = None
    ) -> npt.NDArray[np.bool_]:
        """[N]: which samples have a crop.

        Args:
            sample_ids: of an index, [N].
            places: of the same rows; they must be the frames that the crops were made of.

        Raises:
            DatasetError: a sample is not in the store at all, or its crop was made of another frame.
        """
        lines = self._contents.lines(sample_ids)
        again = f"run `aullava prepare {self.settings.dataset}` with the same options into another folder"
        if (lines < 0).any():
            first, count = sample_ids[int(np.argmax(lines < 0))], int((lines < 0).sum())
            raise DatasetError(
                f"the prepared faces in {self.path} lack {count} of {len(lines)} samples, "
                f"the first is '{first}': {again}"
            )
        if places is not None:
            other = np.char.encode(places, "utf-8") != self._contents.places[lines]
            if other.any():
                row = int(np.argmax(other))
                raise DatasetError(
                    f"the prepared faces in {self.path} show another frame of '{sample_ids[row]}' "
                    f"({self._contents.places[lines[row]].decode()}, not {places[row]}): {again}"
                )
        return np.asarray(self._contents.has_face()[lines])

    def read(self, sample_id: str) -> npt.NDArray[np.uint8]:
        """The crop of a sample, RGB uint8 [S, S, 3].

        Raises:
            DatasetError: the store has no crop of it.
            BrokenStoreError: the file is damaged here.
        """
        shard, row = self._find(sample_id)
        image = cv2.imdecode(shard.jpeg(row, sample_id), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise BrokenStoreError.of(shard.path, f"sample '{sample_id}' is no JPEG")
        return np.asarray(image, np.uint8)

    def meta(self, sample_id: str) -> FaceMeta:
        """Where the crop of a sample comes from; errors as `read`."""
        shard, row = self._find(sample_id)
        record = shard.record(row)
        assert record.box is not None
        assert record.landmarks is not None
        x, y, width, height = record.box
        landmarks = np.array(record.landmarks, np.float32).reshape(5, 2)
        return FaceMeta(record.subject, record.place, (x, y, width, height), landmarks, record.score or 0.0)

    def verify(self) -> None:
        """Read everything and compare every checksum.

        Raises:
            BrokenStoreError: the first damaged file.
        """
        for number, file in enumerate(self._files):
            if StoreFile.of(self.path, file.name, file.rows) != file:
                raise BrokenStoreError.of(self.path / file.name, "it fails its checksum")
            for _ in self._shard(number).records():
                pass

    def _find(self, sample_id: str) -> tuple[Shard, int]:
        line = self._contents.find(sample_id)
        if line is None:
            raise DatasetError(
                f"the prepared faces in {self.path} have no sample '{sample_id}': "
                f"run `aullava prepare {self.settings.dataset}` with the same options into another folder"
            )
        reason = self._contents.reason(line)
        if reason is not None:
            raise DatasetError(
                f"sample '{sample_id}' has no prepared face ({reason}): leave it out, as "
                f"{self.path / 'missing.csv'} lists it"
            )
        return self._shard(int(self._contents.shards[line])), int(self._contents.rows[line])

    def _shard(self, number: int) -> Shard:
        """A shard, opened once; that costs a mapping and no file handle."""
        found = self._open.get(number)
        if found is None:
            found = self._open[number] = Shard(self.path / self._files[number].name, self.settings.identity())
        return found
