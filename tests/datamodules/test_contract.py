"""What every registered dataset must do. A dataset that is registered is tested here without another line."""

from __future__ import annotations

import copy
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from datamodules import registry
from datamodules.action_units import UNKNOWN, action_unit
from datamodules.base import AUDataModule
from datamodules.check import check_dataset
from datamodules.errors import DatasetError, LabelOutOfRangeError, MissingRootError
from datamodules.options import DatasetSettings
from datamodules.sample import AUSample
from datamodules.transforms import mirrored_labels
from tests.datamodules.conftest import Small
from tests.datamodules.helpers import LOADING, batches, dataset

PARTS = ("train", "val", "test")
MEDIA = (".jpg", ".jpeg", ".png", ".bmp", ".avi", ".mp4", ".zip")


@pytest.fixture(params=registry.BUILT_IN)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(name: str, settings_of: Small) -> DatasetSettings:
    return settings_of(name)


@pytest.fixture
def module(name: str, settings: DatasetSettings) -> AUDataModule:
    return dataset(name, settings)


def _class(name: str) -> type[AUDataModule]:
    return registry.load(name)


def _same(first: AUSample, second: AUSample) -> bool:
    told = (first.sample_id, first.subject, first.aus) == (second.sample_id, second.subject, second.aus)
    same_image = np.array_equal(first.image, second.image)
    return told and same_image and np.array_equal(first.labels, second.labels)


def _watch(module: AUDataModule, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The places that are loaded from now on."""
    loaded: list[str] = []
    load = module.load_image

    def watched(place: str) -> npt.NDArray[np.uint8]:
        loaded.append(place)
        return load(place)

    monkeypatch.setattr(module, "load_image", watched)
    return loaded


def _places(module: AUDataModule, part: str) -> set[str]:
    return {str(module.index.places[row]) for row in module.rows(part)}


def test_it_says_what_it_is(name: str) -> None:
    found = _class(name)
    assert issubclass(found, AUDataModule)
    assert found.name == name
    assert found.protocols
    texts = (found.__doc__, found.licence, found.layout)
    assert all(text and text.strip() for text in texts)
    assert [action_unit(code).code for code in found.aus] == list(found.aus)
    assert not getattr(found, "__abstractmethods__", None)
    for method in ("build_index", "load_image", "protocol"):
        assert getattr(found, method) is not getattr(AUDataModule, method), f"{name} lacks {method}"


def test_every_part_gives_samples_of_the_contract(name: str, module: AUDataModule) -> None:
    for part in PARTS:
        for row in module.rows(part):
            sample = module.sample(row)
            assert isinstance(sample, AUSample)
            assert (sample.dataset, sample.aus, sample.scale) == (
                name,
                module.asked_aus,
                module.coded_scale(),
            )
            assert sample.subject.startswith(f"{name}:")
            assert len(sample.subject) > len(f"{name}:")
            assert sample.image.dtype == np.uint8
            assert (sample.image.ndim, sample.image.shape[2]) == (3, 3)
            assert sample.image.flags["C_CONTIGUOUS"]
            assert sample.labels.dtype == np.float32
            assert sample.labels.shape == (len(sample.aus),)
            known = sample.labels[sample.labels != UNKNOWN]
            assert all(sample.scale.allows(float(value)) for value in known)


def test_pictures_that_are_dealt_out_change_places_and_labels_stay(module: AUDataModule) -> None:
    rows = module.rows("test")
    before = [module.sample(row) for row in rows]
    module.deal_out(rows, seed=0)
    after = [module.sample(row) for row in rows]
    for own, other in zip(before, after, strict=True):
        assert (own.sample_id, own.subject) == (other.sample_id, other.subject)
        assert np.array_equal(own.labels, other.labels)
    shown = sorted(sample.image.tobytes() for sample in after)
    assert shown == sorted(sample.image.tobytes() for sample in before)
    assert all(
        np.array_equal(sample.image, before[rows.index(module.dealt[row])].image)
        for row, sample in zip(rows, after, strict=True)
    )
    for seed in range(20):
        module.deal_out(rows, seed)
        assert all(module.dealt[row] != row for row in rows) or len(rows) == 1


def test_every_face_stands_in_one_part_and_every_person_too(module: AUDataModule) -> None:
    rows = {part: module.rows(part) for part in PARTS}
    assert all(rows.values())
    assert sorted(row for part in PARTS for row in rows[part]) == list(range(len(module.index)))
    people = {part: {module.sample(row).subject for row in rows[part]} for part in PARTS}
    assert people["train"].isdisjoint(people["test"])
    assert people["val"].isdisjoint(people["train"] | people["test"])


def test_the_index_is_sorted_and_every_id_unique(module: AUDataModule) -> None:
    ids = [str(one) for one in module.index.sample_ids]
    assert ids == sorted(set(ids))


def test_every_protocol_and_fold_can_be_had(name: str, settings: DatasetSettings) -> None:
    for protocol in _class(name).protocols:
        plain = dataset(name, settings, protocol=protocol)
        people = sorted({str(one) for one in plain.index.subjects})
        folds = len(plain.protocol(protocol, people).folds)
        tested = [dataset(name, settings, protocol=protocol, fold=n + 1).split.test for n in range(folds)]
        assert len({person for fold in tested for person in fold}) == sum(len(fold) for fold in tested)
        with pytest.raises(DatasetError, match=f"has no fold {folds + 1}: give a fold from 1 to {folds}"):
            dataset(name, settings, protocol=protocol, fold=folds + 1)


def test_fit_never_loads_a_picture_of_the_test_people(
    module: AUDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = _watch(module, monkeypatch)
    passes = 2 * len(module.rows("train")) // LOADING.batch_size + 1
    seen = [sample for batch in batches(module.train_dataloader(), passes) for sample in batch]
    assert set(loaded) == _places(module, "train")
    seen += [sample for batch in module.val_dataloader() for sample in batch]
    assert set(loaded) == _places(module, "train") | _places(module, "val")
    assert set(loaded).isdisjoint(_places(module, "test"))
    assert len(seen) == len(loaded)


def test_a_test_loads_only_the_test_people_in_order(
    module: AUDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = _watch(module, monkeypatch)
    tested = [sample.sample_id for batch in module.test_dataloader() for sample in batch]
    assert tested == [str(module.index.sample_ids[row]) for row in module.rows("test")]
    assert set(loaded) == _places(module, "test")


def test_the_labels_are_read_without_a_single_picture(
    name: str, settings: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _class(name)(settings, LOADING)
    loaded = _watch(found, monkeypatch)
    found.setup("fit")
    assert found.fingerprint()
    assert loaded == []


def test_the_same_seed_gives_the_same_training(name: str, settings: DatasetSettings) -> None:
    def training(seed: int) -> list[AUSample]:
        loader = dataset(name, settings, replace(LOADING, seed=seed)).train_dataloader()
        return [sample for batch in batches(loader, 6) for sample in batch]

    first, again, other = training(7), training(7), training(8)
    assert all(_same(*pair) for pair in zip(first, again, strict=True))
    assert not all(_same(*pair) for pair in zip(first, other, strict=True))


def test_loader_processes_change_nothing(name: str, settings: DatasetSettings) -> None:
    alone = batches(dataset(name, settings).train_dataloader(), 3)
    helped = batches(dataset(name, settings, replace(LOADING, num_workers=1)).train_dataloader(), 3)
    for first, second in zip(alone, helped, strict=True):
        assert all(_same(*pair) for pair in zip(first, second, strict=True))


def test_a_mirrored_face_has_its_labels_mirrored(name: str, settings: DatasetSettings) -> None:
    always = dataset(name, settings, replace(LOADING, flip=1.0))
    for row in always.rows("train")[:8]:
        plain, mirrored = always.sample(row), always.training_sample(row, seed=row)
        assert np.array_equal(mirrored.image, plain.image[:, ::-1])
        assert np.array_equal(mirrored.labels, mirrored_labels(plain.aus, plain.labels))
        assert (mirrored.sample_id, mirrored.subject) == (plain.sample_id, plain.subject)


def test_chosen_units_come_in_the_chosen_order(name: str, settings: DatasetSettings) -> None:
    whole = dataset(name, settings)
    wanted = whole.asked_aus[2::-2]
    part = dataset(name, settings, aus=wanted)
    columns = [whole.asked_aus.index(code) for code in wanted]
    assert len(wanted) == 2
    assert part.asked_aus == wanted
    for row in part.rows("val"):
        assert part.sample(row).aus == wanted
        assert np.array_equal(part.sample(row).labels, whole.sample(row).labels[columns])


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (("AU64",), "does not code AU64: did you mean 'AU"),
        ((), r"\.aus is empty"),
        (("first", "first"), "twice"),
    ],
)
def test_units_that_make_no_sense_are_refused(
    name: str, settings: DatasetSettings, wanted: tuple[str, ...], said: str
) -> None:
    first = dataset(name, settings).asked_aus[0]
    with pytest.raises(DatasetError, match=said):
        dataset(name, settings, aus=tuple(first if code == "first" else code for code in wanted))


def test_an_unknown_protocol_names_the_nearest(name: str, settings: DatasetSettings) -> None:
    known = _class(name).protocols[0]
    with pytest.raises(DatasetError, match=f"has no protocol '{known}s': did you mean '{known}'"):
        dataset(name, settings, protocol=known + "s")


@pytest.mark.parametrize("missing", [True, False])
def test_a_missing_root_is_named(name: str, settings: DatasetSettings, missing: bool, tmp_path: Path) -> None:
    if not _class(name).needs_root:
        assert dataset(name, settings, root=tmp_path / "new").rows("train")
        return
    root = tmp_path / "nowhere" if missing else None
    with pytest.raises(MissingRootError, match=rf"set data\.datasets\.{name}\.root to the folder") as refused:
        dataset(name, settings, root=root)
    assert str(root) in str(refused.value) or root is None


def test_the_fingerprint_tells_results_apart_that_cannot_be_compared(
    name: str, settings: DatasetSettings
) -> None:
    plain = dataset(name, settings)
    assert dataset(name, settings).fingerprint() == plain.fingerprint()
    assert dataset(name, settings, aus=plain.asked_aus[::-1]).fingerprint() != plain.fingerprint()
    assert dataset(name, settings, weight=3.0).fingerprint() == plain.fingerprint()
    if len(plain.protocol(plain.protocols[0], list(plain.index.subjects)).folds) > 1:
        assert dataset(name, settings, fold=2).fingerprint() != plain.fingerprint()


def test_evaluation_can_be_limited_evenly(name: str, settings: DatasetSettings) -> None:
    few = dataset(name, settings, replace(LOADING, val_samples=2, test_samples=3))
    assert [len(batch) for batch in few.val_dataloader()] == [2]
    tested = [sample.sample_id for batch in few.test_dataloader() for sample in batch]
    rows = few.rows("test")
    middle = rows[round((len(rows) - 1) / 2)]
    assert tested == [str(few.index.sample_ids[row]) for row in (rows[0], middle, rows[-1])]


def test_batches_are_made_by_what_was_handed_in(module: AUDataModule) -> None:
    module.connect(lambda samples: ("train", len(samples)), lambda samples: ("eval", len(samples)))
    assert next(iter(module.train_dataloader())) == ("train", LOADING.batch_size)
    assert next(iter(module.test_dataloader()))[0] == "eval"
    module.connect(len)
    assert next(iter(module.val_dataloader())) <= LOADING.eval_batch_size


def test_the_index_of_a_second_start_is_the_first_one(
    name: str, settings: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of the cache, if the dataset names its label files: with the same faces, labels and findings."""
    first = dataset(name, settings)
    cached = bool(list(first.label_files()))
    assert cached or name.startswith("synthetic_") or name not in registry.BUILT_IN
    if cached:
        monkeypatch.setattr(_class(name), "build_index", lambda _: pytest.fail("the labels were read again"))
    again = dataset(name, settings)
    assert again.fingerprint() == first.fingerprint()
    assert again.index.places.tolist() == first.index.places.tolist()
    assert again.index.attributes.keys() == first.index.attributes.keys()
    assert again.findings.counts() == first.findings.counts()
    assert _same(copy.copy(again).sample(0), first.sample(0))


def test_label_files_are_there_and_below_the_root(name: str, settings: DatasetSettings) -> None:
    module = _class(name)(settings, LOADING)
    for path in map(Path, module.label_files()):
        assert path.exists(), path
        assert settings.root is not None
        assert path.resolve().is_relative_to(settings.root.resolve())


def test_every_row_says_where_its_labels_stand_and_shares_its_attributes(module: AUDataModule) -> None:
    index = module.index
    assert all(str(origin).strip() for origin in index.origins)
    assert {len(column) for column in index.attributes.values()} <= {len(index)}


def test_a_sound_copy_passes_the_check(name: str, settings: DatasetSettings) -> None:
    checked = check_dataset(_class(name)(settings, LOADING))
    assert checked.broken == []
    assert checked.pictures_read == len(checked.index)
    assert checked.counts.subjects.keys() == set(checked.index.people())


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_a_missing_label_file_never_means_absent(
    name: str, settings: DatasetSettings, tmp_path: Path, place: float
) -> None:
    """It is refused, or its rows are gone, or it is reported (a file of pain scores): no label changes."""
    if not _class(name).needs_root:
        return
    assert settings.root is not None
    whole = dataset(name, settings)
    files = [path for path in map(Path, whole.label_files()) if path.is_file() and path.suffix not in MEDIA]
    if not files:  # a dataset that keeps no index need not name them
        return
    gone = files[round(place * (len(files) - 1))].relative_to(settings.root)
    shutil.copytree(settings.root, tmp_path / "copy", copy_function=os.link)
    (tmp_path / "copy" / gone).unlink()
    module = _class(name)(replace(settings, root=tmp_path / "copy"), LOADING)
    refused = ""
    try:
        _ = module.index
    except DatasetError as error:
        refused = str(error)
    if refused:
        assert "\n" not in refused
        assert str(tmp_path / "copy") in refused
        return
    left = module.index
    rows = np.searchsorted(whole.index.sample_ids, left.sample_ids)
    assert np.array_equal(whole.index.sample_ids[rows], left.sample_ids)
    assert len(left) < len(whole.index) or module.findings.counts() != whole.findings.counts()
    assert np.all((left.labels == whole.index.labels[rows]) | (left.labels == UNKNOWN))


def test_a_label_outside_the_scale_is_named_with_its_origin(
    name: str, settings: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = _class(name)(settings, LOADING)
    module.prepare_data()
    read = module.build_index()
    labels = np.array(read.labels)
    labels[0, 0] = 7
    monkeypatch.setattr(module, "build_index", lambda: replace(read, labels=labels))
    with pytest.raises(LabelOutOfRangeError, match=re.escape(f"{read.origins[0]}: label 7 of ")):
        module._built()


def test_an_empty_part_is_refused(
    name: str, settings: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows of one person: whoever is tested, nobody is left to train."""
    module = _class(name)(settings, LOADING)
    module.prepare_data()
    monkeypatch.setattr(type(module.index), "people", lambda self: [str(self.subjects[0])])
    with pytest.raises(DatasetError, match=f"'{name}'|nobody") as refused:
        module.setup()
    assert "\n" not in str(refused.value)


def test_files_that_are_pages_of_a_web_site_are_named(
    name: str, settings: DatasetSettings, tmp_path: Path
) -> None:
    """What a failed download leaves behind under the name of a picture, a video or an archive."""
    if not _class(name).needs_root:
        return
    assert settings.root is not None
    root, pages = tmp_path / "copy", []

    def copied(source: str, target: str) -> None:
        if Path(source).suffix.lower() in MEDIA:
            pages.append(Path(target).write_text("<!doctype html><title>Sign in</title>"))
        else:
            shutil.copyfile(source, target)

    shutil.copytree(settings.root, root, copy_function=copied)
    assert pages
    with pytest.raises(DatasetError, match=str(root)) as refused:
        dataset(name, settings, root=root).sample(0)
    assert "\n" not in str(refused.value)
