"""A picture comes whole, cropped on the way, or from a prepared store; without a face it is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.multiprocessing import start_processes  # type: ignore[attr-defined]
from torch.utils.data import DataLoader

from datamodules import faces as faces_module
from datamodules import store as store_module
from datamodules.base import AUDataModule
from datamodules.crops import Crops
from datamodules.errors import DatasetError
from datamodules.faces import FaceSettings
from datamodules.findings import Findings
from datamodules.folder import Folder
from datamodules.index import Index
from datamodules.loaders import FaceRows
from datamodules.options import DatasetSettings, FolderOptions
from tests.data.folder.data import write
from tests.datamodules.helpers import LOADING, batches, dataset

WITHOUT = {"person 1/2.png": "no face was found", "person 7/0.jpg": "no face was found"}
PARTS = ("train", "val", "test")


class Store:
    """What a dataset asks of a store, without its files."""

    settings = SimpleNamespace(dataset="folder", identity=lambda: "folder, 224")

    def usable(self, ids: npt.NDArray[np.str_], places: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
        assert ids.tolist() == places.tolist()
        return ~np.isin(ids, list(WITHOUT))

    def missing(self) -> dict[str, str]:
        return WITHOUT

    def read(self, sample_id: str) -> npt.NDArray[np.uint8]:
        assert sample_id not in WITHOUT
        return np.full((4, 4, 3), len(sample_id), np.uint8)


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetSettings:
    monkeypatch.setattr(store_module.FaceStore, "open", lambda _: Store())
    return replace(write(tmp_path / "faces"), prepared=tmp_path / "store")


def _people(module: AUDataModule) -> list[str]:
    return [str(module.index.sample_ids[row]) for part in PARTS for row in module.rows(part)]


def test_pictures_come_from_the_store(prepared: DatasetSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    module = dataset("folder", prepared)

    def load(*_: object) -> None:
        raise AssertionError("an original was read")

    monkeypatch.setattr(Folder, "load_image", load)
    row = module.rows("train")[0]
    assert module.sample(row).image.shape == (4, 4, 3)
    assert module.sample(row).image[0, 0, 0] == len(module.index.sample_ids[row])


def test_training_reads_no_stored_face_of_tested_people(
    prepared: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, seen = dataset("folder", prepared), set[str]()
    read = Store.read

    def watched(store: Store, sample_id: str) -> npt.NDArray[np.uint8]:
        seen.add(sample_id)
        return read(store, sample_id)

    monkeypatch.setattr(Store, "read", watched)
    for batch in [*batches(module.train_dataloader(), 40), *module.val_dataloader()]:
        assert batch
    kept = {str(module.index.sample_ids[row]) for part in ("train", "val") for row in module.rows(part)}
    assert seen == kept


def test_what_the_store_has_no_face_of_is_left_out_and_told(prepared: DatasetSettings) -> None:
    module = dataset("folder", prepared)
    assert len(module.index) == 36
    assert sorted(_people(module)) == sorted(set(module.index.sample_ids.tolist()) - set(WITHOUT))
    (found,) = module.findings
    assert (found.kind, found.count) == ("no-face", 2)
    assert "2 of 36 samples of dataset 'folder' are left out" in found.message
    assert "first 'person 1/2.png': no face was found" in found.message
    strict = dataset("folder", prepared, strict=True)  # the store is finished: it has what could be found
    assert strict.findings.counts() == {"no-face": 2}


def test_results_without_some_faces_are_told_apart(prepared: DatasetSettings) -> None:
    whole = dataset("folder", replace(prepared, prepared=None))
    assert dataset("folder", prepared).fingerprint() != whole.fingerprint()
    assert dataset("folder", prepared).pictures() != whole.pictures()
    moved = replace(prepared, prepared=prepared.prepared / "elsewhere")  # type: ignore[operator]
    assert dataset("folder", prepared).pictures() == dataset("folder", moved).pictures()


class StoreOfThree(Store):
    """Knows three samples, one of which has no face."""

    def usable(
        self, ids: npt.NDArray[np.str_], places: npt.NDArray[np.str_] | None = None
    ) -> npt.NDArray[np.bool_]:
        assert places is None
        if not set(ids.tolist()) <= {"a", "b", "c"}:
            raise DatasetError("lacks samples")
        return np.asarray(ids != "b")

    def ids(self) -> list[str]:
        return ["a", "c"]

    def missing(self) -> dict[str, str]:
        return {"b": "no face was found"}


@pytest.mark.parametrize(("ids", "usable"), [("abc", [True, False, True]), ("axc", [True, False, True])])
def test_labels_alone_are_read_with_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids: str, usable: list[bool]
) -> None:
    monkeypatch.setattr(store_module.FaceStore, "open", lambda _: StoreOfThree())
    names, nothing = np.array(list(ids)), np.full(3, "")
    index = Index(names, names, nothing, np.zeros((3, 1), np.float32), names)
    findings = Findings()
    found = Crops("folder", DatasetSettings(prepared=tmp_path), findings).usable(index)
    assert found is not None
    assert found.tolist() == usable
    assert findings.counts() == {"no-face": 1}
    other = Index(np.array(["x"]), names[:1], nothing[:1], index.labels[:1], names[:1])
    with pytest.raises(DatasetError, match="lacks samples"):
        Crops("folder", DatasetSettings(prepared=tmp_path), findings).usable(other)


def test_the_store_of_another_dataset_is_refused(
    prepared: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "settings", SimpleNamespace(dataset="bp4d"))
    with pytest.raises(
        DatasetError, match=r"was prepared from dataset 'bp4d': set data\.datasets\.folder\.prep"
    ):
        dataset("folder", prepared)


class Finder:
    """Finds a face in pictures that are high enough."""

    def __init__(self, settings: FaceSettings) -> None:
        self.settings = settings

    def crop(self, image: npt.NDArray[np.uint8]) -> SimpleNamespace | None:
        if len(image) < 22:
            return None
        return SimpleNamespace(image=np.zeros((self.settings.size, self.settings.size, 3), np.uint8))


def test_faces_are_cut_out_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces_module, "FaceFinder", Finder)
    settings = replace(write(tmp_path), faces=FaceSettings(size=16))
    module = Folder(settings, LOADING)
    module.setup()
    heights = [len(module.load_image(str(place))) for place in module.index.places]
    images = [module.sample(row).image for row in range(36)]
    assert {image.shape for image in images} == {(16, 16, 3)}
    assert all(image.flags["C_CONTIGUOUS"] for image in images)
    found = [not image.any() for image in images]
    assert found == [height >= 22 for height in heights]
    for _ in range(2):  # each is told once
        module.teardown()
        assert module.findings.counts() == {"middle-shown": found.count(False)}
    assert "its middle is shown" in next(iter(module.findings)).message
    assert module.pictures() != Folder(replace(settings, faces=None), LOADING).pictures()


def test_a_strict_run_stops_at_a_picture_without_a_face(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faces_module, "FaceFinder", Finder)
    module = Folder(replace(write(tmp_path), faces=FaceSettings(size=16), strict=True), LOADING)
    module.setup()
    with pytest.raises(DatasetError, match="no face is found in 'person"):
        [module.sample(row) for row in range(36)]


@pytest.mark.parametrize("workers", [0, 2])
def test_what_loader_processes_did_not_find_is_told_where_the_trainer_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(faces_module, "FaceFinder", Finder)
    settings = replace(write(tmp_path), faces=FaceSettings(size=16))
    module = dataset("folder", settings, replace(LOADING, num_workers=workers))
    for _ in range(2):
        for part in ("val", "test"):
            list(module.eval_loader(part))
        module.teardown("test")
    wanted = [
        str(module.index.sample_ids[row])
        for part in ("val", "test")
        for row in module.rows(part)
        if len(module.load_image(str(module.index.places[row]))) < 22
    ]
    assert wanted
    assert sorted(found.where for found in module.findings) == sorted(wanted)
    assert all(found.message.startswith("no face is found in") for found in module.findings)


@pytest.mark.slow
def test_processes_that_are_started_anew_note_it_too(tmp_path: Path) -> None:
    """Pictures of noise, the real detector, and a loader process that inherits nothing."""
    module = dataset("folder", replace(write(tmp_path), faces=FaceSettings(size=16)))
    rows = module.rows("val")
    list(DataLoader(FaceRows(module, rows), num_workers=1, collate_fn=list, multiprocessing_context="spawn"))
    assert not len(module.findings)
    module.teardown()
    assert module.findings.counts() == {"middle-shown": len(rows)}


def _rank(rank: int, root: Path, meeting: Path, out: Path) -> None:
    torch.distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=2)
    module = dataset("folder", replace(write_once(root), faces=FaceSettings(size=16)))
    module.sample(rank)
    module.teardown()
    (out / str(rank)).write_text(" ".join(sorted(found.where for found in module.findings)))
    torch.distributed.destroy_process_group()


def write_once(root: Path) -> DatasetSettings:
    """The settings of the fake that the first process has written."""
    options = FolderOptions(scale="level", folds_file=str(root / "folds.txt"))
    return DatasetSettings(root=root, options=options)


@pytest.mark.slow
def test_every_training_process_knows_what_any_of_them_missed(tmp_path: Path) -> None:
    settings = write(tmp_path / "faces")
    assert write_once(tmp_path / "faces") == settings
    folders = (tmp_path / "faces", tmp_path / "meeting", tmp_path)
    start_processes(_rank, folders, nprocs=2)  # type: ignore[no-untyped-call]
    first, second = ((tmp_path / str(rank)).read_text() for rank in range(2))
    assert first == second
    assert len(first.split(" person")) == 2
