"""Which files an index hangs on: all that it was read from, so that a change of any of them is noticed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from datamodules import registry
from datamodules.base import AUDataModule
from datamodules.labels import all_folders, folders_at
from datamodules.options import DatasetSettings
from tests.datamodules.conftest import Small
from tests.datamodules.helpers import LOADING, dataset
from tests.datamodules.rows import fake

WITH_FILES = [name for name in registry.BUILT_IN if not name.startswith("synthetic_")]
MEDIA = (".jpg", ".jpeg", ".png", ".bmp", ".avi", ".mp4", ".zip")

_opened: list[str] | None = None


def _listen(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook cannot be taken out again, so it stays for good and writes down what is asked for."""
    if event == "open" and _opened is not None and isinstance(arguments[0], str | os.PathLike):
        _opened.append(os.path.realpath(arguments[0]))


sys.addaudithook(_listen)


@contextmanager
def files_opened_below(root: Path) -> Iterator[set[Path]]:
    """The files that Python opens below a folder."""
    global _opened  # noqa: PLW0603 - the hook's
    found: set[Path] = set()
    _opened = []
    try:
        yield found
    finally:
        found |= {Path(path) for path in _opened if Path(path).is_relative_to(root.resolve())}
        _opened = None


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name for every index that is built."""
    found: list[str] = []
    build = AUDataModule._built

    def counted(self: AUDataModule) -> object:
        found.append(self.name)
        return build(self)

    monkeypatch.setattr(AUDataModule, "_built", counted)
    return found


def _root(settings: DatasetSettings) -> Path:
    assert settings.root is not None
    return settings.root


@pytest.mark.parametrize("name", WITH_FILES)
def test_every_file_that_was_read_is_among_them(name: str, settings_of: Small) -> None:
    settings = settings_of(name)
    module = registry.load(name)(settings, LOADING)
    with files_opened_below(_root(settings)) as opened:
        module.build_index()
    read = {path for path in opened if path.suffix.lower() not in MEDIA}
    assert read
    assert read <= {Path(path).resolve() for path in module.label_files()}


@pytest.mark.parametrize("name", WITH_FILES)
def test_a_second_start_reads_no_label_and_a_changed_file_is_read_again(
    name: str, tmp_path: Path, builds: list[str]
) -> None:
    settings = fake(name, tmp_path / name)
    first = dataset(name, settings)
    again = dataset(name, settings)
    assert builds == [name]
    assert again.fingerprint() == first.fingerprint()
    files = [Path(path) for path in first.label_files()]
    labels = [path for path in files if path.is_file() and path.suffix.lower() not in MEDIA]
    for number, path in enumerate((labels[0], labels[len(labels) // 2], labels[-1]), 1):
        os.utime(path, ns=(number, number))  # its content is as it was: any change of its time counts
        assert dataset(name, settings).fingerprint() == first.fingerprint()
        assert len(builds) == 1 + number


@pytest.mark.parametrize("name", WITH_FILES)
def test_a_picture_that_goes_is_noticed(name: str, tmp_path: Path) -> None:
    """What is kept is never another index than the one that would be read now."""
    settings = fake(name, tmp_path / name)
    whole = dataset(name, settings)
    files = [str(place) for place in whole.index.places if (_root(settings) / str(place)).is_file()]
    if not files or name == "folder":  # videos, archives; the table alone decides in `folder`
        return
    gone = files[len(files) // 2]
    (_root(settings) / gone).unlink()
    found = dataset(name, settings)
    assert len(found.index) == len(whole.index) - files.count(gone)
    assert gone not in found.index.places
    read = registry.load(name)(settings, LOADING)._built()
    assert np.array_equal(found.index.sample_ids, read.sample_ids)


def test_a_label_that_is_corrected_in_place_is_noticed(tmp_path: Path) -> None:
    """The time of its folder stays: UNBC looks at every file."""
    settings = fake("unbc", tmp_path)
    before = dataset("unbc", settings)
    path = Path(str(before.index.origins[1]).partition(":")[0])
    folder = path.parent.stat().st_mtime_ns
    path.write_text(path.read_text().replace("2.0000000e+00", "1.0000000e+00").replace("3.0", "4.0"))
    (tmp_path / "Frame_Labels/PSPI" / path.relative_to(tmp_path / "Frame_Labels/FACS")).unlink()
    assert path.parent.stat().st_mtime_ns == folder
    assert not np.array_equal(dataset("unbc", settings).index.labels, before.index.labels)


def test_folders_at_a_depth_and_all_of_them(tmp_path: Path) -> None:
    for inner in ("a/1/x", "a/2", "b/1", ".hidden/1", "b/.hidden"):
        (tmp_path / inner).mkdir(parents=True)
    (tmp_path / "a/file").touch()
    (tmp_path / "a/link").symlink_to(tmp_path / "b")
    assert folders_at(tmp_path, 0) == [tmp_path]
    told = [path.relative_to(tmp_path).as_posix() for path in folders_at(tmp_path, 2)]
    assert told == ["a/1", "a/2", "a/link", "b/1"]
    everything = {path.relative_to(tmp_path).as_posix() for path in all_folders(tmp_path)}
    assert everything >= {".", "a", "b", "a/1", "a/1/x", "a/2", "a/link", "b/1"}
    assert "a/link/1" not in everything  # and so no circle of links is run through for ever
