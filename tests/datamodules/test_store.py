"""What was written is read, in any order, and a file that is not what was written is refused by name."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from datamodules.errors import BrokenStoreError, DatasetError
from datamodules.faces import FaceSettings
from datamodules.store import FaceStore
from datamodules.store_contents import write_contents
from datamodules.store_records import BATCH, Record, Shard, write_shard
from datamodules.store_settings import StoreFile, StorePage, StoreSettings, write_page

SETTINGS = StoreSettings("bp4d", "frames", FaceSettings(size=16), 95, "yunet")
SHARDS = ("shards/00000.arrow", "shards/00001.arrow")
ROWS = BATCH + 3  # more than one batch
SHARD = SHARDS[1]
LAST = f"F002/T1/{ROWS - 1:04d}"


def _crop(person: int, number: int) -> bytes:
    image = np.full((16, 16, 3), (number % 200, person * 40, 128), np.uint8)
    return bytes(cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes())


def _record(person: int, number: int) -> Record:
    name, place = f"F{person:03d}/T1/{number:04d}", f"F{person:03d}/{number}.jpg"
    if number == 5:
        return Record(name, f"F{person:03d}", place, reason="no face found")
    landmarks = tuple(float(value) for value in range(number, number + 10))
    return Record(name, f"F{person:03d}", place, _crop(person, number), None, (1, 2, 3, 4.5), landmarks, 0.75)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two people that no test changes."""
    store = tmp_path_factory.mktemp("store")
    (store / "shards").mkdir()
    for person, name in enumerate(SHARDS, start=1):
        write_shard(store / name, SETTINGS.identity(), (_record(person, number) for number in range(ROWS)))
    crc = write_contents(store, (Shard(store / name).listing() for name in SHARDS))
    write_page(store, StorePage(SETTINGS, tuple(StoreFile.of(store, name, ROWS) for name in SHARDS), crc))
    return store


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "store"))


def _flip(file: Path, place: int, bit: int = 0) -> None:
    """Turn one bit over."""
    held = bytearray(file.read_bytes())
    held[place] ^= 1 << bit
    file.write_bytes(held)


def test_everything_is_read_back(whole: Path) -> None:
    store = FaceStore.open(whole)
    assert store.settings == SETTINGS
    assert len(store) == len(store.ids()) == 2 * (ROWS - 1)
    assert store.missing() == {f"F00{person}/T1/0005": "no face found" for person in (1, 2)}
    for person, number in ((2, ROWS - 1), (1, 0), (2, BATCH), (1, BATCH - 1)):  # in no order
        name = f"F{person:03d}/T1/{number:04d}"
        image = store.read(name)
        assert image.shape == (16, 16, 3)
        assert image.dtype == np.uint8
        assert np.abs(image.reshape(-1, 3).mean(0) - (number % 200, person * 40, 128)).max() < 3  # RGB
        about = store.meta(name)
        assert (about.subject, about.place) == (f"F{person:03d}", f"F{person:03d}/{number}.jpg")
        assert (about.box, about.score) == ((1, 2, 3, 4.5), 0.75)
        assert np.array_equal(about.landmarks, np.arange(number, number + 10).reshape(5, 2))
    store.verify()


def test_a_store_goes_to_other_processes_by_its_path(whole: Path) -> None:
    store = FaceStore.open(whole)
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent).read(LAST), store.read(LAST))  # noqa: S301 - our own bytes


def test_memory_is_that_of_the_files(whole: Path) -> None:
    store = FaceStore.open(whole)
    store.read(LAST)
    columns = (store._contents.ids, store._contents.places, store._contents.rows)
    assert not any(column.flags.owndata for column in columns)
    picture = store._shard(1).jpeg(ROWS - 1, LAST)
    assert not picture.flags.owndata
    assert picture.tobytes() == _crop(2, ROWS - 1)


def test_samples_that_are_not_there(whole: Path) -> None:
    store = FaceStore.open(whole)
    for name in ("F003/T1/0001", "", "F001/T1/0001" + "x" * 100):
        with pytest.raises(DatasetError, match=f"have no sample '{name}': run `aullava prepare bp4d`"):
            store.read(name)
    for ask in (store.read, store.meta):
        with pytest.raises(DatasetError, match=r"'F001/T1/0005' has no prepared face \(no face found\)"):
            ask("F001/T1/0005")


def test_an_index_is_held_against_the_store(whole: Path) -> None:
    store = FaceStore.open(whole)
    ids = np.array(["F002/T1/0004", "F002/T1/0005", "F001/T1/0006"])
    places = np.array(["F002/4.jpg", "F002/5.jpg", "F001/6.jpg"])
    assert store.usable(ids, places).tolist() == store.usable(ids).tolist() == [True, False, True]
    with pytest.raises(DatasetError, match="lack 1 of 2 samples, the first is 'F009/T1/0001'"):
        store.usable(np.array(["F001/T1/0001", "F009/T1/0001"]))
    places[2] = "F001/7.jpg"
    with pytest.raises(DatasetError, match=r"another frame of 'F001/T1/0006' \(F001/6.jpg, not F001/7.jpg"):
        store.usable(ids, places)


def test_no_store_and_an_unfinished_one_are_refused(tmp_path: Path, store: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no prepared faces .* make them with `aullava prepare"):
        FaceStore.open(tmp_path / "nowhere")
    write_page(store, StorePage(SETTINGS))
    with pytest.raises(DatasetError, match="are not complete: run the same `aullava prepare` again"):
        FaceStore.open(store)


def test_another_version_is_refused(store: Path) -> None:
    page = store / "store.json"
    page.write_text(page.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(DatasetError, match="is of version 2, this code reads version 1"):
        FaceStore.open(store)


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _fill(file: Path) -> None:
    """Cut off and filled up again with zeros, as a crashed file system leaves it: the size is right."""
    held = file.read_bytes()
    file.write_bytes(held[:-9000] + bytes(9000))


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        *((name, harm) for name in (SHARD, "contents.arrow") for harm in (_truncate, _fill, Path.unlink)),
        *(("store.json", harm) for harm in (_truncate, _fill)),
    ],
)
def test_a_truncated_file_is_refused_by_name(store: Path, name: str, harm: Callable[[Path], object]) -> None:
    harm(store / name)
    with pytest.raises(BrokenStoreError) as told:
        FaceStore.open(store).read(LAST)
    assert str(told.value).startswith(f"prepared faces {store / name} cannot be read (")
    cure = "delete this file and run the same `aullava prepare` again, which makes it anew"
    assert str(told.value).endswith(cure)


def test_a_flipped_byte_of_a_picture_is_refused(store: Path) -> None:
    held = (store / SHARD).read_bytes()
    _flip(store / SHARD, held.rindex(_crop(2, ROWS - 1)) + 300, bit=3)
    opened = FaceStore.open(store)
    opened.read("F002/T1/0001")  # the others are whole
    with pytest.raises(
        BrokenStoreError, match=rf"00001\.arrow cannot be read .sample '{LAST}' fails its checksum"
    ):
        opened.read(LAST)
    with pytest.raises(BrokenStoreError, match=r"00001\.arrow"):
        opened.verify()


def test_a_flipped_byte_of_a_landmark_is_refused(store: Path) -> None:
    held = (store / SHARD).read_bytes()
    marks = np.arange(ROWS - 1, ROWS + 9, dtype=np.float32).tobytes()
    _flip(store / SHARD, held.index(marks) + 1)
    opened = FaceStore.open(store)
    opened.read(LAST)
    with pytest.raises(BrokenStoreError, match=f"sample '{LAST}' fails its checksum"):
        opened.meta(LAST)


@pytest.mark.parametrize("name", [SHARD, "contents.arrow", "store.json"])
def test_no_flipped_bit_gives_another_picture(store: Path, whole: Path, name: str) -> None:
    """Wherever it is: refused when opened, when read, or without any effect; and found by `verify`."""
    asked = ("F001/T1/0000", "F002/T1/0000", LAST)
    truth = [FaceStore.open(whole).read(one) for one in asked]
    generator = np.random.default_rng(11)
    held = (store / name).read_bytes()
    # The tables around the pictures are where a wrong bit leads astray: heads, offsets, footer.
    places = [*range(0, min(2400, len(held)), 29), *range(max(0, len(held) - 2400), len(held), 29)]
    places += generator.integers(0, len(held), 60).tolist()
    refused = 0
    for place in places:
        (store / name).write_bytes(held)
        _flip(store / name, place, int(generator.integers(8)))
        try:
            opened = FaceStore.open(store)
            assert all(
                np.array_equal(opened.read(one), image) for one, image in zip(asked, truth, strict=True)
            )
        except DatasetError:
            refused += 1
        else:
            with pytest.raises(BrokenStoreError):
                opened.verify()
    assert refused > 0


def test_a_shard_of_another_store_is_refused(store: Path) -> None:
    other = replace(SETTINGS, quality=50)
    write_shard(store / SHARD, other.identity(), (_record(2, number) for number in range(ROWS)))
    with pytest.raises(BrokenStoreError, match="it belongs to another store"):
        FaceStore.open(store).read(LAST)


def test_two_shards_exchanged_are_refused(store: Path) -> None:
    first, second = (store / name for name in SHARDS)
    held = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(held)
    with pytest.raises(BrokenStoreError, match="cannot be read"):
        FaceStore.open(store).read(LAST)


def test_a_failed_shard_leaves_nothing_behind(tmp_path: Path) -> None:
    def records() -> list[Record]:
        raise ValueError("the disk is full")

    with pytest.raises(ValueError, match="full"):
        write_shard(
            tmp_path / "x.arrow", "", (one for number in range(3) for one in [_record(1, number), *records()])
        )
    assert list(tmp_path.iterdir()) == []
