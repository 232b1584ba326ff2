"""What a user's own folder may hold, and the one line that each mistake in it gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.action_units import UNKNOWN, Scale
from datamodules.base import AUDataModule
from datamodules.errors import (
    BrokenImageError,
    DatasetError,
    EmptyDatasetError,
    LabelOutOfRangeError,
    UnknownActionUnitError,
)
from datamodules.options import DatasetSettings, FolderOptions, LoaderSettings
from tests.data.folder.data import FACES, PEOPLE, write, write_table
from tests.datamodules.helpers import LOADING, dataset

HEADER = ("image", "subject", "AU1", "AU12")
PLAIN = FolderOptions(folds=2)


def _folder(
    root: Path,
    rows: Sequence[tuple[str, ...]],
    header: tuple[str, ...] = HEADER,
    options: FolderOptions = PLAIN,
    loading: LoaderSettings = LOADING,
) -> AUDataModule:
    """A folder with a picture for each row that has none yet, and people A to D who are always there."""
    always = [(f"{person}.png", person, *("0",) * (len(header) - 2)) for person in "ABCD"]
    for image in [row[0] for row in (*always, *rows) if row]:
        if image.endswith(".png") and not Path(image).is_absolute() and not (root / image).exists():
            (root / image).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 6), (200, 100, 50)).save(root / image)
    write_table(root, [*always, *rows], header)
    return dataset("folder", DatasetSettings(root=root, options=options), loading)


def _row(module: AUDataModule, sample_id: str) -> int:
    return int(np.flatnonzero(module.index.sample_ids == sample_id)[0])


def test_it_reads_what_the_table_says(tmp_path: Path) -> None:
    module = dataset("folder", write(tmp_path))
    assert len(module.index) == PEOPLE * FACES
    assert module.asked_aus == ("AU1", "AU12L", "AU12R", "AD34")
    sample = module.sample(_row(module, "person 2/1.png"))
    assert (sample.scale, sample.subject) == (Scale.LEVEL, "folder:P2")
    written = np.asarray(Image.open(tmp_path / "person 2/1.png"))
    assert np.array_equal(sample.image, written)
    assert sample.image.shape == (21, 18, 3)


def test_what_was_not_coded_stays_unknown(tmp_path: Path) -> None:
    rows = [("x.png", "X", "?", "1"), ("y.png", "Y", "-1", "9"), ("z.png", "Z", " ", "nan")]
    module = _folder(tmp_path, rows, options=FolderOptions(unknown="9", folds=2))
    read = {one: module.sample(_row(module, one)).labels.tolist() for one in ("x.png", "y.png", "z.png")}
    assert read == {"x.png": [UNKNOWN, 1], "y.png": [UNKNOWN, UNKNOWN], "z.png": [UNKNOWN, UNKNOWN]}
    assert module.sample(_row(module, "A.png")).labels.tolist() == [0, 0]


def test_other_columns_spaces_a_mark_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    for person in "ABCD":
        Image.new("RGB", (4, 4)).save(tmp_path / f"{person}.png")
    lines = ["subject , age,image, AU12,audio", *(f"{p}, 30 , {p}.png , 1,x" for p in "AB"), ""]
    lines += ["C,,C.png,0,", 'D,"a\nb",D.png,1,']
    (tmp_path / "labels.csv").write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    module = dataset("folder", DatasetSettings(root=tmp_path, options=FolderOptions(folds=2)))
    assert module.asked_aus == ("AU12",)
    assert [str(one) for one in module.index.subjects] == ["A", "B", "C", "D"]
    assert module.index.labels[:, 0].tolist() == [1, 1, 0, 1]
    assert str(module.index.origins[2]).endswith("labels.csv:5")


def test_names_and_columns_are_options(tmp_path: Path) -> None:
    write_table(tmp_path, [(f"{p}.png", p, "0.25") for p in "ABCD"], ("file", "who", "AU4"))
    (tmp_path / "labels.csv").rename(tmp_path / "own.csv")
    for person in "ABCD":
        Image.new("RGB", (4, 4)).save(tmp_path / f"{person}.png")
    options = FolderOptions(table="own.csv", image="file", subject="who", scale="intensity", folds=2)
    module = dataset("folder", DatasetSettings(root=tmp_path, options=options))
    assert module.coded_scale() is Scale.INTENSITY
    assert module.index.labels.ravel().tolist() == [0.25] * 4


@pytest.mark.parametrize(
    ("header", "error", "said"),
    [
        (("picture", "subject", "AU1"), DatasetError, r"labels\.csv:1: there is no column 'image'"),
        (("image", "person", "AU1"), DatasetError, r"labels\.csv:1: there is no column 'subject'"),
        (("image", "subject", "smile"), DatasetError, r"labels\.csv:1: no column is an Action Unit"),
        (("image", "subject", "AU12X"), UnknownActionUnitError, "'AU12X': did you mean 'AU12'"),
        (("image", "subject", "au12"), UnknownActionUnitError, "'au12': did you mean 'AU12'"),
        (("image", "subject", "AU_12"), UnknownActionUnitError, "'AU_12': did you mean 'AU12'"),
        (("image", "subject", "AU1", "AU1"), DatasetError, r"labels\.csv:1: column 'AU1' stands twice"),
    ],
)
def test_a_header_that_cannot_be_meant_is_refused(
    tmp_path: Path, header: tuple[str, ...], error: type[DatasetError], said: str
) -> None:
    with pytest.raises(error, match=said):
        _folder(tmp_path, [], header)


@pytest.mark.parametrize(
    ("row", "error", "said"),
    [
        (("x.png", "X", "0", "2"), LabelOutOfRangeError, r"labels\.csv:6: label 2 of AU12 .*\(0 or 1\)"),
        (("x.png", "X", "inf", "0"), LabelOutOfRangeError, r"labels\.csv:6: label inf of AU1 "),
        (("x.png", "X", "-2", "0"), LabelOutOfRangeError, r"labels\.csv:6: label -2 of AU1 "),
        (("x.png", "X", "0,5", "0"), DatasetError, r"labels\.csv:6: '0,5' as the label of AU1 is no number"),
        (("x.png", "X", "0"), DatasetError, r"labels\.csv:6: the row has not 4 cells"),
        (("x.png", "X", "0", "0", "1"), DatasetError, r"labels\.csv:6: the row has not 4 cells"),
        (("x.png", " ", "0", "0"), DatasetError, r"labels\.csv:6: the cell in column 'subject' is empty"),
        (("", "X", "0", "0"), DatasetError, r"labels\.csv:6: the cell in column 'image' is empty"),
        (("A.png", "X", "0", "0"), DatasetError, r"labels\.csv:6: sample 'A\.png' .* stands twice"),
        (("./A.png", "A", "0", "0"), DatasetError, r"labels\.csv:6: sample 'A\.png' .* stands twice"),
        (("../x.png", "X", "0", "0"), DatasetError, r"labels\.csv:6: the path '\.\./x\.png' leads out of"),
        (("/etc/hosts", "X", "0", "0"), DatasetError, r"labels\.csv:6: the path '/etc/hosts' leads out of"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused_with_its_line(
    tmp_path: Path, row: tuple[str, ...], error: type[DatasetError], said: str
) -> None:
    with pytest.raises(error, match=said):
        _folder(tmp_path / "root", [row])


@pytest.mark.parametrize(
    ("scale", "wrong"), [("presence", "0.5"), ("level", "6"), ("level", "7"), ("intensity", "1.01")]
)
def test_each_scale_has_its_limits(tmp_path: Path, scale: str, wrong: str) -> None:
    with pytest.raises(LabelOutOfRangeError, match=rf"label {wrong} of AU1 is outside the scale '{scale}'"):
        _folder(tmp_path, [("x.png", "X", wrong, "0")], options=FolderOptions(scale=scale, folds=2))


def test_a_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "outside.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(DatasetError, match=r"labels\.csv:6: the path 'link\.png' leads out of"):
        _folder(root, [("link.png", "X", "0", "0")])


def test_a_link_that_is_turned_after_the_labels_were_read_is_refused_too(tmp_path: Path) -> None:
    root = tmp_path / "root"
    module = _folder(root, [("x.png", "X", "0", "0")])
    (root / "x.png").unlink()
    (root / "x.png").symlink_to("/etc/hosts")
    with pytest.raises(DatasetError, match="leads out of"):
        module.sample(_row(module, "x.png"))


def test_a_root_that_is_a_link_is_fine(tmp_path: Path) -> None:
    settings = write(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert dataset("folder", settings, root=tmp_path / "link").sample(0).image.size


def test_a_picture_that_cannot_be_read_is_named_when_its_turn_comes(tmp_path: Path) -> None:
    rows = [("late.png", "X", "0", "0"), ("page.jpg", "Y", "0", "0")]
    (tmp_path / "page.jpg").write_text("<!doctype html><title>404</title>")
    module = _folder(tmp_path, rows)
    (tmp_path / "late.png").unlink()
    with pytest.raises(BrokenImageError, match=r"late\.png cannot be read \(there is no such file\)"):
        module.sample(_row(module, "late.png"))
    with pytest.raises(BrokenImageError, match=r"page\.jpg cannot be read \(it is none of JPEG"):
        module.sample(_row(module, "page.jpg"))


def test_the_error_of_a_loader_process_keeps_its_type(tmp_path: Path) -> None:
    helped = replace(LOADING, num_workers=1)
    for number in range(9):
        (tmp_path / f"page{number}.jpg").write_text("<!doctype html>")
    module = _folder(tmp_path, [(f"page{n}.jpg", f"X{n}", "0", "0") for n in range(9)], loading=helped)
    with pytest.raises(BrokenImageError, match=r"page\d\.jpg cannot be read"):
        list(module.test_dataloader())


def test_a_row_without_its_picture_is_left_out_and_reported(tmp_path: Path) -> None:
    module = _folder(tmp_path, [("gone.jpg", "X", "0", "0"), ("x.png", "X", "0", "0")])
    assert [str(one) for one in module.index.sample_ids] == ["A.png", "B.png", "C.png", "D.png", "x.png"]
    (found,) = module.findings
    assert (found.kind, found.where) == ("missing-image", str(tmp_path / "gone.jpg"))
    assert found.message.startswith(
        f"{tmp_path / 'labels.csv'}:6: there is no picture {tmp_path / 'gone.jpg'}"
    )


def test_a_picture_of_20000_pixels_a_side_is_refused(tmp_path: Path) -> None:
    module = _folder(tmp_path, [("bomb.png", "X", "0", "0")])
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(BrokenImageError, match=r"bomb\.png cannot be read \(more than 10000 pixels"):
        module.sample(_row(module, "bomb.png"))


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path, [])
    with pytest.raises(EmptyDatasetError, match=f"found no samples in {tmp_path}"):
        dataset("folder", DatasetSettings(root=tmp_path))


def test_an_empty_folder_says_which_file_is_missing(tmp_path: Path) -> None:
    said = (
        rf"no label table {tmp_path}/labels\.csv: put it there, or set data\.datasets\.folder\.options\.table"
    )
    with pytest.raises(DatasetError, match=said):
        dataset("folder", DatasetSettings(root=tmp_path))


@pytest.mark.parametrize("content", [b"image,subject,AU1\n\xff\xfe,x,1\n", b"\x89PNG\r\n\x1a\n\x00\x00"])
def test_a_table_that_is_no_csv_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=r"labels\.csv is no CSV in UTF-8"):
        dataset("folder", DatasetSettings(root=tmp_path))


def test_too_few_people_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path, [("a.png", "A", "1", "0"), ("b.png", "B", "0", "1")], HEADER)
    for person in "ab":
        Image.new("RGB", (4, 4)).save(tmp_path / f"{person}.png")
    with pytest.raises(EmptyDatasetError, match=r"protocol 'people_folds' leaves nobody in the val part"):
        dataset("folder", DatasetSettings(root=tmp_path, options=PLAIN))


@pytest.mark.parametrize(("wrong", "said"), [({"scale": "percent"}, "percent"), ({"folds": 1}, "at least 2")])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FolderOptions(**wrong)  # type: ignore[arg-type]
