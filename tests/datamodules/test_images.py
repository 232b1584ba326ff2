"""Pictures that users bring: upright RGB, or one named error."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.errors import BrokenImageError, DatasetError
from datamodules.images import FORMATS, MAX_SIDE, inside, read_image

PIXELS = np.random.default_rng(2).integers(0, 256, (9, 12, 3), dtype=np.uint8)


def _encoded(form: str, mode: str = "RGB") -> bytes:
    written = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(written, form)
    return written.getvalue()


def _broken(tmp_path: Path, content: bytes, name: str = "face.jpg") -> str:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BrokenImageError) as refused:
        read_image(path)
    said = str(refused.value)
    assert said.startswith(f"image {path} cannot be read (")
    assert "\n" not in said
    return said


def _png_of(width: int, height: int) -> bytes:
    """The beginning of a valid PNG of any size, without the pixels."""
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + bytes(8))
    framed = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_read_as_rgb(tmp_path: Path, form: str) -> None:
    (tmp_path / "face").write_bytes(_encoded(form))
    image = read_image(tmp_path / "face")
    assert image.dtype == np.uint8
    assert image.shape == (9, 12, 3)
    if form in ("PNG", "BMP", "TIFF", "PPM"):
        assert np.array_equal(image, PIXELS)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA"])
def test_grey_palette_and_transparent_pictures_become_rgb(tmp_path: Path, mode: str) -> None:
    (tmp_path / "face.png").write_bytes(_encoded("PNG", mode))
    image = read_image(tmp_path / "face.png")
    assert image.shape == (9, 12, 3)
    if mode == "L":
        assert (image == image[:, :, :1]).all()


def test_a_picture_taken_sideways_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held turned: show it 90 degrees clockwise
    Image.fromarray(PIXELS).save(tmp_path / "face.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "face.png"), np.rot90(PIXELS, -1))


@pytest.mark.parametrize("form", FORMATS)
def test_a_truncated_picture_is_named(tmp_path: Path, form: str) -> None:
    whole = _encoded(form)
    _broken(tmp_path, whole[: len(whole) * 2 // 3])


@pytest.mark.parametrize(
    "content",
    [b"", b"<!doctype html><html>not found</html>", b"version https://git-lfs.github.com/spec/v1\n"],
)
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    assert "it is none of JPEG, PNG" in _broken(tmp_path, content)


def test_a_postscript_file_is_never_handed_to_ghostscript(tmp_path: Path) -> None:
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    assert "it is none of" in _broken(tmp_path, page)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(BrokenImageError, match="there is no such file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(BrokenImageError, match="directory"):
        read_image(tmp_path)


@pytest.mark.parametrize(("width", "height"), [(MAX_SIDE + 1, 4), (4, MAX_SIDE + 1), (60_000, 60_000)])
def test_a_picture_too_large_is_refused_before_it_is_decoded(
    tmp_path: Path, width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    assert f"{MAX_SIDE} " in _broken(tmp_path, _png_of(width, height))


def test_a_large_picture_that_is_allowed_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (MAX_SIDE, 2)).save(tmp_path / "wide.png")
    assert read_image(tmp_path / "wide.png").shape == (2, MAX_SIDE, 3)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_bytes_never_end_in_another_error(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    path = tmp_path / "face"
    for form in FORMATS:
        whole = np.frombuffer(_encoded(form), np.uint8)
        for _ in range(25):
            damaged = whole.copy()
            damaged[generator.integers(0, min(len(whole), 80), 4)] = generator.integers(0, 256, 4)
            path.write_bytes(damaged.tobytes())
            try:
                assert read_image(path).shape[2] == 3
            except BrokenImageError as refused:
                assert str(path) in str(refused)  # noqa: PT017 - either way is right


def test_paths_stay_below_the_root(tmp_path: Path) -> None:
    assert inside(tmp_path, "a/b.png", "t.csv:2") == tmp_path.resolve() / "a/b.png"
    assert inside(tmp_path, "a/../b.png", "t.csv:2") == tmp_path.resolve() / "b.png"
    for out in ("..", "../x.png", "a/../../x.png", "/etc/hosts"):
        with pytest.raises(DatasetError, match=r"^t\.csv:2: the path .* leads out of .*: give a path below"):
            inside(tmp_path, out, "t.csv:2")


def test_a_name_that_is_only_begun_like_the_root_is_outside(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    with pytest.raises(DatasetError, match="leads out of"):
        inside(tmp_path / "faces", "../faces_of_others/x.png", "t.csv:2")


def test_links_are_followed_before_the_check(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)
    (root / "in").symlink_to(root / "deep")
    (root / "circle").symlink_to(root / "circle")
    assert inside(root, "in/x.png", "t.csv:2") == root.resolve() / "deep/x.png"
    with pytest.raises(DatasetError, match="leads out of"):
        inside(root, "out/x.png", "t.csv:2")
    for impossible in ("circle", "zero\0byte.png"):
        with pytest.raises(DatasetError, match=r"^t\.csv:2: .* is no path of a file"):
            inside(root, impossible, "t.csv:2")
