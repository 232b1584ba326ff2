"""Members of zip files are read in place, each mistake in one line."""

from __future__ import annotations

import zipfile
from copy import copy
from pathlib import Path

import pytest

from datamodules import archives
from datamodules.archives import Archives, members, split_member
from datamodules.errors import BrokenImageError, DatasetError
from datamodules.images import read_image
from tests.data.bp4d_plus.data import write_archive
from tests.data.drawn import plain


@pytest.mark.parametrize(
    ("place", "parts"),
    [
        ("2D+3D/F001.zip!/F001/T1/0001.jpg", ("2D+3D/F001.zip", "F001/T1/0001.jpg")),
        ("2D+3D/F001/T1/0001.jpg", ("2D+3D/F001/T1/0001.jpg", None)),
    ],
)
def test_a_place_tells_its_archive(place: str, parts: tuple[str, str | None]) -> None:
    assert split_member(place) == parts


def test_several_archives_are_read_in_turn(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_archive(
            tmp_path / f"{name}.zip", {f"{n}.jpg": plain(100 * (name == "b") + 20 * n) for n in range(3)}
        )
    reader = Archives()
    for one in (reader, copy(reader)):
        for name, number in (("a", 2), ("b", 0), ("a", 1), ("a", 0), ("b", 2)):
            image = read_image(tmp_path / name, one.read(tmp_path / f"{name}.zip", f"{number}.jpg"))
            assert image.mean() == pytest.approx(100 * (name == "b") + 20 * number, abs=3)


def test_a_copy_does_not_share_the_open_file(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {"0.jpg": plain(1)})
    reader = Archives()
    reader.read(tmp_path / "a.zip", "0.jpg")
    assert reader._open is not None
    assert copy(reader)._open is None


def test_a_member_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {"0.jpg": plain(1)})
    with pytest.raises(
        BrokenImageError, match=r"a\.zip/1\.jpg cannot be read \(there is no such file in the archive"
    ):
        Archives().read(tmp_path / "a.zip", "1.jpg")


def test_a_member_that_is_too_large_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.jpg", bytes(100_000))
    monkeypatch.setattr(archives, "MAX_BYTES", 99_999)
    with pytest.raises(BrokenImageError, match="more than 99999 bytes"):
        Archives().read(tmp_path / "bomb.zip", "0.jpg")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"<html></html>"])
def test_an_archive_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DatasetError, match=r"archive .*a\.zip cannot be read .*download it again"):
        members(tmp_path / "a.zip")
