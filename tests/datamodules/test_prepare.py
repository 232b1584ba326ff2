"""Preparing: the crops that a predictor would see, the same whoever works and whatever happened before."""

from __future__ import annotations

import csv
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from datamodules import prepare_plan
from datamodules.errors import DatasetError, EmptyDatasetError
from datamodules.faces import FaceFinder, FaceSettings
from datamodules.folder import Folder
from datamodules.index import Index
from datamodules.prepare import Report, prepare
from datamodules.prepare_plan import plan_shards
from datamodules.prepare_pool import work_off
from datamodules.store import FaceStore
from datamodules.store_records import Shard
from tests.datamodules.drawn_people import BROKEN, FACES, NO_FACE, PEOPLE, files_of, folder, write_people

SMALL = FaceSettings(size=48)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of people that no test changes."""
    return write_people(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its store, made by one process, that no test changes."""
    out = tmp_path_factory.mktemp("made") / "store"
    _prepare(root, out)
    return out


def _prepare(root: Path, out: Path, faces: FaceSettings = SMALL, **changed: Any) -> Report:
    return prepare(folder(root), out, faces, progress=False, **changed)


def test_what_has_a_face_is_stored_and_the_rest_is_listed(root: Path, tmp_path: Path) -> None:
    report = _prepare(root, tmp_path / "new" / "store")
    frames = PEOPLE * FACES + 1
    assert (report.dataset, report.frames, report.faces, report.written) == (
        "folder",
        frames,
        frames - 2,
        frames,
    )
    assert report.missing == {"no face found": 1, "unreadable": 1}
    missing = FaceStore.open(report.out).missing()
    assert missing.keys() == {NO_FACE, BROKEN}
    assert missing[NO_FACE] == "no face found"
    assert missing[BROKEN].startswith(f"unreadable: image {root / BROKEN} cannot be read (")
    with (report.out / "missing.csv").open(newline="") as file:
        listed = list(csv.reader(file))
    assert listed[0] == ["sample_id", "place", "reason", "shard"]
    assert {row[0]: row[2] for row in listed[1:]} == missing
    assert {row[0]: row[3] for row in listed[1:]} == {
        NO_FACE: "shards/00001.arrow",
        BROKEN: "shards/00002.arrow",
    }


@pytest.mark.parametrize("align", ["box", "five_points"])
def test_a_prepared_crop_is_what_the_finder_cuts_out(root: Path, tmp_path: Path, align: str) -> None:
    """Before JPEG, to the pixel: whoever crops on the fly shows the model the same face."""
    settings = FaceSettings(size=48, align=align, margin=0.4)
    _prepare(root, tmp_path, settings, quality=90)
    store, module, finder = FaceStore.open(tmp_path), folder(root), FaceFinder(settings)
    assert (store.settings.faces, store.settings.quality) == (settings, 90)
    shards = sorted((tmp_path / "shards").iterdir())
    records = {record.sample_id: record for shard in shards for record in Shard(shard).records()}
    for name in store.ids():
        crop = finder.crop(module.load_image(name))
        assert crop is not None
        encoded = cv2.imencode(".jpg", crop.image[:, :, ::-1].copy(), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        assert records[name].jpeg == encoded.tobytes()
        about = store.meta(name)
        assert (about.place, about.subject) == (name, name.partition("/")[0])
        assert np.array_equal(about.landmarks, crop.landmarks)
        assert np.allclose(about.box, crop.box)
        assert np.isclose(about.score, crop.score)


def test_the_dataset_reads_its_store(root: Path, made: Path) -> None:
    store, module = FaceStore.open(made), folder(root, prepared=made)
    rows = [row for part in ("train", "val", "test") for row in module.rows(part)]
    seen = {sample.sample_id: sample.image for sample in map(module.sample, rows)}
    assert sorted(seen) == store.ids()
    assert all(np.array_equal(image, store.read(name)) for name, image in seen.items())
    assert module.findings.counts()["no-face"] == 2


def test_several_workers_write_the_same_bytes(root: Path, made: Path, tmp_path: Path) -> None:
    report = _prepare(root, tmp_path / "store", workers=3)
    assert report.written == PEOPLE * FACES + 1
    assert files_of(report.out) == files_of(made)


def test_a_second_run_does_nothing(root: Path, tmp_path: Path) -> None:
    first = _prepare(root, tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    again = _prepare(root, tmp_path, workers=2)
    assert (again.written, again.faces, again.missing) == (0, first.faces, first.missing)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == written


class _Failing(Folder):
    """Breaks down at the first picture of the third person, as no error of ours does."""

    def load_image(self, place: str) -> Any:
        if place.startswith("p2"):
            raise MemoryError("no room")
        return super().load_image(place)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broken_run_is_taken_up_where_it_stopped(
    root: Path, made: Path, tmp_path: Path, workers: int
) -> None:
    whole = folder(root)
    with pytest.raises(MemoryError):
        prepare(_Failing(whole.settings, whole.loading), tmp_path, SMALL, workers=workers, progress=False)
    assert not list(tmp_path.rglob("*.tmp"))
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()}
    assert 0 < len(kept) < PEOPLE
    (tmp_path / "shards" / "00002.arrow.99.tmp").write_bytes(b"left behind by kill -9")
    report = _prepare(root, tmp_path, workers=workers)
    assert report.written < report.frames
    assert files_of(tmp_path) == files_of(made)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.parametrize("name", ["shards/00001.arrow", "contents.arrow", "store.json"])
def test_what_was_deleted_is_made_anew(root: Path, made: Path, tmp_path: Path, name: str) -> None:
    _prepare(root, tmp_path)
    (tmp_path / name).unlink()
    assert _prepare(root, tmp_path).written == (FACES + 1 if name.startswith("shards") else 0)
    assert files_of(tmp_path) == files_of(made)


def test_a_damaged_shard_of_an_unfinished_store_is_made_anew(root: Path, made: Path, tmp_path: Path) -> None:
    _prepare(root, tmp_path)
    (tmp_path / "store.json").unlink()
    for name, cut in (("00000", 3000), ("00001", None)):
        shard = tmp_path / "shards" / f"{name}.arrow"
        held = bytearray(shard.read_bytes())
        held[len(held) // 2] ^= 16
        shard.write_bytes(held[:cut])
    _prepare(root, tmp_path)
    assert files_of(tmp_path) == files_of(made)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"faces": FaceSettings(size=40)}, r"\(size 48 there, 40 here\): give another --out"),
        ({"faces": FaceSettings(size=48, align="five_points")}, r"\(align box there, five_points here\)"),
        ({"quality": 80}, r"\(quality 95 there, 80 here\)"),
    ],
)
def test_a_store_of_other_settings_is_not_mixed(root: Path, made: Path, changed: Any, said: str) -> None:
    with pytest.raises(DatasetError, match=f"holds faces that were prepared otherwise {said}"):
        _prepare(root, made, **changed)


def test_a_store_of_other_frames_is_not_mixed(made: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"prepared otherwise \(other frames there\)"):
        _prepare(write_people(tmp_path, people=3), made)


def test_other_files_are_left_alone(root: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(
        DatasetError, match=r"holds other files \(thesis\.tex\): give a new or an empty folder"
    ):
        _prepare(root, tmp_path)
    with pytest.raises(DatasetError, match="is a file: give a folder"):
        _prepare(root, tmp_path / "thesis.tex")
    with pytest.raises(DatasetError, match=r"cannot be written to .*: make room, or give a folder"):
        _prepare(root, tmp_path / "thesis.tex" / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_at_a_time_are_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:  # a lock is a process's own: another one must hold it
        with (tmp_path / ".lock").open("w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.write(ready[1], b"x")
            os.read(done[0], 1)
            os._exit(0)
    os.read(ready[0], 1)
    try:
        with pytest.raises(DatasetError, match="another `aullava prepare` is writing to"):
            _prepare(root, tmp_path)
    finally:
        os.write(done[1], b"x")
        os.waitpid(child, 0)
    assert _prepare(root, tmp_path).written > 0


@pytest.mark.parametrize("workers", [1, 2])
def test_strict_stops_at_the_first_broken_picture(root: Path, tmp_path: Path, workers: int) -> None:
    with pytest.raises(DatasetError, match=f"image {root / BROKEN} cannot be read"):
        prepare(folder(root, strict=True), tmp_path, SMALL, workers=workers, progress=False)


def test_a_dataset_without_any_face_is_refused(root: Path, tmp_path: Path) -> None:
    sure = FaceSettings(size=48, min_score=1.0)
    with pytest.raises(EmptyDatasetError, match=r"faces that 'yunet' finds .*missing.csv has the reasons"):
        _prepare(root, tmp_path, sure)
    assert len((tmp_path / "missing.csv").read_text().splitlines()) == PEOPLE * FACES + 2
    with pytest.raises(DatasetError, match="are not complete"):
        FaceStore.open(tmp_path)


@pytest.mark.parametrize("quality", [0, 101])
def test_a_quality_that_cannot_be_is_refused(root: Path, tmp_path: Path, quality: int) -> None:
    with pytest.raises(DatasetError, match=f"quality={quality} is outside 1 to 100"):
        _prepare(root, tmp_path, quality=quality)


def test_a_killed_worker_is_told() -> None:
    def work(job: int, step: object) -> None:
        os.kill(os.getpid(), 9)

    with pytest.raises(DatasetError, match="a worker process was killed, probably for want of memory"):
        work_off([1, 2], work, 2, lambda count: None)


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_counts_every_picture_once(workers: int) -> None:
    def work(job: int, step: Callable[[], None]) -> None:
        for _ in range(job):
            step()

    seen: list[int] = []
    work_off([3, 4, 5], work, workers, seen.append)
    assert sum(seen) == 12


def _index(places: list[tuple[str, str]]) -> Index:
    names = np.array([place for _, place in places])
    people = np.array([who for who, _ in places])
    return Index(names, people, names, np.zeros((len(places), 1), np.float32), names)


def test_frames_are_read_in_the_order_of_their_numbers() -> None:
    (plan,) = plan_shards(
        _index([("A", "v.avi#10"), ("A", "v.avi#9"), ("A", "u/100.jpg"), ("A", "u/99.jpg")]), "s"
    )
    assert [place for _, _, place in plan.frames] == ["u/99.jpg", "u/100.jpg", "v.avi#9", "v.avi#10"]
    assert plan.name == "s/00000.arrow"


def test_a_person_is_in_one_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    index = _index([(f"P{number % 7}", f"{number}.jpg") for number in range(70)])
    assert [{who for _, who, _ in plan.frames} for plan in plan_shards(index, "s")] == [
        {f"P{n}"} for n in range(7)
    ]
    monkeypatch.setattr(prepare_plan, "MOST_SHARDS", 3)
    plans = plan_shards(index, "s")
    assert [len({who for _, who, _ in plan.frames}) for plan in plans] == [3, 3, 1]
    assert sorted(frame[0] for plan in plans for frame in plan.frames) == sorted(index.sample_ids.tolist())
