"""An index is built once, found again while its files are as they were, and never wrong."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datamodules import index_cache
from datamodules.base import AUDataModule
from datamodules.errors import DatasetError
from datamodules.folder import Folder
from datamodules.options import DatasetSettings, FolderOptions
from tests.data.folder.data import write
from tests.datamodules.helpers import LOADING, dataset


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def settings(tmp_path: Path) -> DatasetSettings:
    return write(tmp_path / "faces")


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A word for every time that an index is built."""
    times: list[str] = []
    build = Folder.build_index

    def counted(self: Folder) -> object:
        times.append("built")
        return build(self)

    monkeypatch.setattr(Folder, "build_index", counted)
    return times


def _entry(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "cache/aullava/index").iterdir()
    return found


def _same(first: AUDataModule, second: AUDataModule) -> bool:
    columns = ("sample_ids", "subjects", "places", "labels", "origins")
    same = [np.array_equal(getattr(first.index, one), getattr(second.index, one)) for one in columns]
    return all(same) and first.fingerprint() == second.fingerprint()


def test_a_second_start_reads_no_label(settings: DatasetSettings, built: list[str]) -> None:
    first, second = dataset("folder", settings), dataset("folder", settings)
    assert built == ["built"]
    assert _same(first, second)
    assert second.asked_aus == first.asked_aus
    assert np.array_equal(second.sample(3).labels, first.sample(3).labels)


def test_labels_of_a_sample_can_be_written_to(settings: DatasetSettings) -> None:
    for module in (dataset("folder", settings), dataset("folder", settings)):
        module.sample(0).labels[:] = 5  # a view of the file could not, and torch warns of such arrays
        assert module.sample(0).labels.tolist() != [5, 5, 5, 5]


def test_chosen_units_come_out_of_the_same_entry(settings: DatasetSettings, built: list[str]) -> None:
    whole = dataset("folder", settings)
    part = dataset("folder", settings, aus=("AD34", "AU1"))
    assert built == ["built"]
    assert np.array_equal(part.index.labels, whole.index.labels[:, [3, 0]])
    assert part.fingerprint() != whole.fingerprint()
    built.clear()
    os.environ["XDG_CACHE_HOME"] += "_elsewhere"
    assert dataset("folder", settings, aus=("AD34", "AU1")).fingerprint() == part.fingerprint()
    assert built == ["built"]


def _relabel(root: Path) -> None:
    table = root / "labels.csv"
    table.write_text(table.read_text().replace(",5,", ",4,", 1))


def _touch(root: Path) -> None:
    os.utime(root / "labels.csv", ns=(1, 1))


@pytest.mark.parametrize("change", [_relabel, _touch])
def test_a_changed_label_file_is_read_again(
    settings: DatasetSettings, built: list[str], change: Callable[[Path], None]
) -> None:
    dataset("folder", settings)
    assert settings.root is not None
    change(settings.root)
    found = dataset("folder", settings)
    assert built == ["built", "built"]
    os.environ["XDG_CACHE_HOME"] += "_elsewhere"
    assert _same(found, dataset("folder", settings))


def test_other_options_and_other_code_have_their_own(
    settings: DatasetSettings, built: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset("folder", settings)
    dataset("folder", settings, options=FolderOptions(scale="level", unknown="0"))
    assert len(built) == 2
    dataset("folder", settings)
    assert len(built) == 2
    monkeypatch.setattr(index_cache, "code_hash", lambda _: "corrected")
    dataset("folder", settings)
    assert len(built) == 3
    assert len(list((tmp_path / "cache/aullava/index").iterdir())) == 2  # the old entry was replaced


def test_the_code_that_counts_is_that_of_the_package_and_of_the_dataset() -> None:
    class Elsewhere(Folder):
        """In a file of its own: this one."""

    assert index_cache.code_hash(Folder) == index_cache.code_hash(Folder)
    assert index_cache.code_hash(Elsewhere) != index_cache.code_hash(Folder)


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 0x40
    file.write_bytes(bytes(content))


def _version(file: Path) -> None:
    meta = json.loads((file.parent / "meta.json").read_text())
    (file.parent / "meta.json").write_text(json.dumps({**meta, "key": "of another version"}))


@pytest.mark.parametrize("column", ["labels", "subjects", "sample_ids", "places", "meta"])
@pytest.mark.parametrize("damage", [_truncate, _flip, _version, Path.unlink])
def test_a_damaged_entry_is_made_anew(
    settings: DatasetSettings,
    built: list[str],
    tmp_path: Path,
    column: str,
    damage: Callable[[Path], None],
) -> None:
    if column == "places" and damage is _flip:
        return  # a wrong place is a missing picture, no wrong label: its checksum is not compared
    first = dataset("folder", settings)
    kept = [np.array(first.index.labels), np.array(first.index.sample_ids)]
    damage(_entry(tmp_path) / ("meta.json" if column == "meta" else f"{column}.npy"))
    again = dataset("folder", settings)
    assert built == ["built", "built"] or (column == "meta" and damage is _flip)
    assert np.array_equal(again.index.labels, kept[0])
    assert np.array_equal(again.index.sample_ids, kept[1])
    dataset("folder", settings)
    assert len(built) <= 2


def test_a_cache_that_cannot_be_written_is_done_without(
    settings: DatasetSettings, built: list[str], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert _same(dataset("folder", settings), dataset("folder", settings))
    assert built == ["built", "built"]


def test_nothing_half_written_is_left(settings: DatasetSettings, tmp_path: Path) -> None:
    dataset("folder", settings)
    names = [path.name for path in (tmp_path / "cache/aullava/index").iterdir()]
    assert len(names) == 1
    assert names[0].startswith("folder-")


def test_findings_come_out_of_the_cache_too(settings: DatasetSettings, built: list[str]) -> None:
    assert settings.root is not None
    gone = settings.root / "person 1/2.png"
    content = gone.read_bytes()
    gone.unlink()
    for _ in range(2):
        module = dataset("folder", settings)
        assert module.findings.counts() == {"missing-image": 1}
        assert len(module.index) == 35
    assert built == ["built"]
    with pytest.raises(DatasetError, match=r"labels\.csv:8: there is no picture .*person 1/2\.png"):
        dataset("folder", settings, strict=True)
    gone.write_bytes(content)
    found = dataset("folder", settings)
    assert (len(found.index), len(found.findings)) == (36, 0)


def test_another_process_opens_the_file_instead_of_getting_a_copy(
    settings: DatasetSettings, built: list[str]
) -> None:
    module = dataset("folder", settings)
    other = copy.copy(module)  # goes the way that pickling goes
    assert other.__dict__["_index"] is None
    assert np.array_equal(other.sample(5).image, module.sample(5).image)
    assert built == ["built"]


def test_entries_of_two_roots_do_not_meet(settings: DatasetSettings, tmp_path: Path) -> None:
    first = dataset("folder", settings)
    second = Folder(replace(write(tmp_path / "others"), options=settings.options), LOADING)
    assert str(tmp_path / "others") in str(second.index.origins[0])
    assert str(tmp_path / "faces") in str(first.index.origins[0])
