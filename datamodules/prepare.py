"""Makes a store of face crops out of a dataset: decodes every frame once, cuts the face out, packs it.

A person's shard is written under a temporary name and renamed when it is complete, so a run that was killed
loses at most the shards it was at; the next one checks the finished ones and goes on.
"""

from __future__ import annotations

import csv
import fcntl
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
from tqdm import tqdm

from datamodules.base import AUDataModule
from datamodules.errors import BrokenStoreError, DatasetError, EmptyDatasetError
from datamodules.faces import FaceFinder, FaceSettings
from datamodules.prepare_plan import ShardPlan, pictures_fingerprint, plan_shards
from datamodules.prepare_pool import Step, work_off
from datamodules.store import SHARDS, FaceStore
from datamodules.store_contents import NAME as CONTENTS
from datamodules.store_contents import write_contents
from datamodules.store_records import Record, Shard, write_shard
from datamodules.store_settings import NAME as PAGE
from datamodules.store_settings import (
    StoreFile,
    StorePage,
    StoreSettings,
    differences,
    read_page,
    write_page,
)
from datamodules.whole_file import is_draft

QUALITY: Final = 95
NO_FACE: Final = "no face found"
MISSING: Final = "missing.csv"
_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True)
class Report:
    """What `prepare` did.

    Attributes:
        dataset: registered name.
        out: the store.
        frames: labelled frames of the dataset.
        faces: those with a crop.
        missing: how many frames have none, by reason (an unreadable file counts as ``unreadable``).
        written: frames that this run read; 0 if there was nothing to do.
        seconds: what it took.
        left_out: what the reader found amiss, by kind: how many, and the first in words. Frames that it left
            out stand in no store.
    """

    dataset: str
    out: Path
    frames: int
    faces: int
    missing: dict[str, int]
    written: int
    seconds: float
    left_out: dict[str, tuple[int, str]] = field(default_factory=dict)


def prepare(
    module: AUDataModule,
    out: Path,
    faces: FaceSettings,
    quality: int = QUALITY,
    workers: int = 1,
    progress: bool = True,
) -> Report:
    """Make the store of a dataset, or what is missing of it.

    Args:
        module: the dataset, reading its originals.
        out: folder of the store; made if it is not there.
        faces: how faces are cut out.
        quality: of the JPEGs, 1 to 100.
        workers: processes.
        progress: show a bar on stderr, with pictures per second and the time left.

    Raises:
        DatasetError: the folder holds something else or a store of other settings, another `prepare` is at
            it, it cannot be written, or no frame has a face; with ``settings.strict`` also at the first file
            that cannot be read.
    """
    started = time.monotonic()
    if not 1 <= quality <= 100:
        raise DatasetError(f"quality={quality} is outside 1 to 100: give a value between")
    module.prepare_data()
    maker = _Maker(module, out, faces, quality)
    written = 0
    if not maker.is_complete():
        try:
            with _locked(out):
                written = maker.make(workers, progress)
        except OSError as error:
            raise DatasetError(
                f"the prepared faces cannot be written to {out} ({error.strerror or error}): make room, "
                "or give a folder that can be written; what is done is kept"
            ) from error
    store = FaceStore.open(out)
    reasons = Counter(_short(reason) for reason in store.missing().values())
    left_out = module.findings.told()
    seconds = time.monotonic() - started
    return Report(module.name, out, len(module.index), len(store), dict(reasons), written, seconds, left_out)


class _Maker:
    """One run of `prepare`."""

    def __init__(self, module: AUDataModule, out: Path, faces: FaceSettings, quality: int) -> None:
        self.module = module
        self.out = out
        self.quality = quality
        self.finder = FaceFinder(faces)
        pictures = pictures_fingerprint(module.index)
        self.settings = StoreSettings(module.name, pictures, faces, quality, self.finder.version)
        self.plans = plan_shards(module.index, SHARDS)

    def is_complete(self) -> bool:
        """Whether all is there already.

        Raises:
            DatasetError: the folder holds something else, or a store of other settings.
        """
        page = read_page(self.out)
        if page is None:
            self._refuse_other_files()
            return False
        differing = differences(self.settings, page.settings)
        if differing:
            raise DatasetError(
                f"{self.out} holds faces that were prepared otherwise ({differing}): give another "
                "--out, or the same settings"
            )
        return (
            page.shards is not None
            and (self.out / CONTENTS).is_file()
            and all(_size(self.out / shard.name) == shard.bytes for shard in page.shards)
        )

    def make(self, workers: int, progress: bool) -> int:
        """Write the shards that are missing, then contents and page; returns the frames read."""
        (self.out / SHARDS).mkdir(exist_ok=True)
        for left in filter(is_draft, (*self.out.iterdir(), *(self.out / SHARDS).iterdir())):
            left.unlink(missing_ok=True)
        write_page(self.out, StorePage(self.settings))
        todo = [plan for plan in self.plans if not self._is_made(plan)]
        total, new = (sum(len(plan.frames) for plan in plans) for plans in (self.plans, todo))
        bar = tqdm(total=total, initial=total - new, unit="image", disable=not progress)
        with bar:
            bar.set_description(f"prepare {self.module.name}")
            work_off(todo, self.write, workers, lambda count: bar.update(count) and None)
        self._finish()
        return new

    def write(self, plan: ShardPlan, step: Step) -> None:
        """Write one shard."""
        write_shard(self.out / plan.name, self.settings.identity(), self._records(plan, step))

    def _records(self, plan: ShardPlan, step: Step) -> Iterator[Record]:
        for frame in plan.frames:
            yield self._record(*frame)
            step()

    def _record(self, sample_id: str, subject: str, place: str) -> Record:
        try:
            image = self.module.load_image(place)
        except DatasetError as error:
            if self.module.settings.strict:
                raise
            return Record(sample_id, subject, place, reason=f"unreadable: {' '.join(str(error).split())}")
        crop = self.finder.crop(image)
        if crop is None:
            return Record(sample_id, subject, place, reason=NO_FACE)
        done, jpeg = cv2.imencode(
            ".jpg", cv2.cvtColor(crop.image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, self.quality]
        )
        assert done
        landmarks = tuple(crop.landmarks.ravel().tolist())
        return Record(sample_id, subject, place, jpeg.tobytes(), None, crop.box, landmarks, crop.score)

    def _is_made(self, plan: ShardPlan) -> bool:
        """Whether a shard is there and whole; a damaged one is taken away, to be made anew."""
        path = self.out / plan.name
        if not path.is_file():
            return False
        try:
            records = Shard(path, self.settings.identity()).records()
            made = [(record.sample_id, record.subject, record.place) for record in records]
        except BrokenStoreError:
            made = []
        if made != list(plan.frames):
            path.unlink()
        return path.is_file()

    def _finish(self) -> None:
        """Write contents, the list of missing faces, and the page that says that all is there."""
        paths = [self.out / plan.name for plan in self.plans]
        listed = [list(Shard(path, self.settings.identity()).listing()) for path in paths]
        with (self.out / MISSING).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("sample_id", "place", "reason", "shard"))
            for plan, lines in zip(self.plans, listed, strict=True):
                writer.writerows((*line, plan.name) for line in lines if line[2] is not None)
        if all(line[2] is not None for lines in listed for line in lines):
            raise EmptyDatasetError.of(
                self.module.name,
                str(self.module.settings.root or "its pictures"),
                f"faces that '{self.finder.settings.detector}' finds ({self.out / MISSING} has the reasons)",
            )
        crc = write_contents(self.out, listed)
        files = [StoreFile.of(self.out, plan.name, len(plan.frames)) for plan in self.plans]
        write_page(self.out, StorePage(self.settings, tuple(files), crc))

    def _refuse_other_files(self) -> None:
        """A folder without a page may hold shards (the page was deleted), but nothing that is not ours."""
        ours = {SHARDS, CONTENTS, MISSING, PAGE, _LOCK}
        if self.out.exists() and not self.out.is_dir():
            raise DatasetError(f"--out {self.out} is a file: give a folder")
        for path in self.out.iterdir() if self.out.is_dir() else ():
            if path.name not in ours and not is_draft(path):
                raise DatasetError(
                    f"--out {self.out} holds other files ({path.name}): give a new or an empty folder"
                )


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Make the folder and keep other `prepare`s out of it; the lock goes with this process."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / _LOCK).open("w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatasetError(
                f"another `aullava prepare` is writing to {out}: wait for it, or give another --out"
            ) from None
        yield


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _short(reason: str) -> str:
    return reason.partition(":")[0]
