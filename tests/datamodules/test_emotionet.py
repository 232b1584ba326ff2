"""EmotioNet: quotes in names and URLs, 999, dead pictures, CSV and workbook."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datamodules.action_units import UNKNOWN
from datamodules.dataset_options.other import EmotioNetOptions
from datamodules.errors import DatasetError, LabelOutOfRangeError
from tests.data.emotionet.data import DEAD, HEADER, TABLE, row, write, write_table, write_workbook
from tests.data.small_pictures import save
from tests.datamodules.rows import ids_of, labels_of, messages, opened, row_of

FIRST, SECOND = "N_0000000001_00001", "N_0000000001_00002"


def test_quotes_around_column_names_and_behind_urls_do_not_matter(tmp_path: Path) -> None:
    module = opened("emotionet", write(tmp_path))
    assert HEADER[2] == "'AU 1'"
    assert str(row(FIRST, {})[0]).endswith(".jpg'")
    assert module.asked_aus == tuple(f"AU{n}" for n in (1, 2, 4, 5, 6, 9, 12, 17, 20, 25, 26, 43))
    place = str(module.index.places[row_of(module, FIRST)])
    assert place == f"Images/N_0000000001/{FIRST}.jpg"
    assert module.sample(row_of(module, FIRST)).image.size


def test_999_was_not_labelled(tmp_path: Path) -> None:
    module = opened("emotionet", write(tmp_path))
    labels = labels_of(module, SECOND)
    assert {code for code, value in labels.items() if value == UNKNOWN} == {
        *("AU5", "AU6", "AU9", "AU17", "AU20", "AU26")
    }
    assert (labels["AU1"], labels["AU2"], labels["AU12"]) == (1, 0, 1)


def test_a_picture_without_any_label_is_left_out(tmp_path: Path) -> None:
    module = opened("emotionet", write(tmp_path))
    assert "N_0000000001_00006" not in ids_of(module)
    assert module.findings.counts()["unknown-label"] == 1


def test_dead_pictures_are_counted(tmp_path: Path) -> None:
    module = opened("emotionet", write(tmp_path))
    assert set(DEAD).isdisjoint(ids_of(module))
    told = f"2 of the 36 pictures of {tmp_path / TABLE}.csv are not there (many of their URLs are dead)"
    assert messages(module, "dead-url") == [told]
    assert module.findings.counts()["dead-url"] == len(DEAD)
    assert ids_of(opened("emotionet", write(tmp_path), strict=True)) == ids_of(module)


def test_pictures_are_found_by_name_in_any_folder_and_case(tmp_path: Path) -> None:
    settings = write(tmp_path)
    (tmp_path / f"Images/N_0000000001/{FIRST}.jpg").rename(tmp_path / f"Images/{FIRST}.JPG")
    module = opened("emotionet", settings)
    assert str(module.index.places[row_of(module, FIRST)]) == f"Images/{FIRST}.JPG"
    assert str(module.index.places[row_of(module, "N_0000000001_00008")]).endswith(".JPG")


def test_a_picture_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    settings = write(tmp_path)
    save(tmp_path / f"Images/other/{FIRST}.jpg")
    with pytest.raises(DatasetError, match=rf"{FIRST}\.jpg is both in .* and in .*: take one of the two out"):
        opened("emotionet", settings)


def test_the_workbook_says_the_same_as_the_csv(tmp_path: Path) -> None:
    settings = write(tmp_path)
    known = {1: 1, 2: 0.0, 12: 1}
    rows = [row(f"N_0000000001_{n:05d}", known) for n in range(1, 6)]
    write_table(tmp_path, rows)
    csv = opened("emotionet", settings, folds_file="").index
    (tmp_path / f"{TABLE}.csv").unlink()
    write_workbook(tmp_path, rows)
    workbook = opened("emotionet", settings, folds_file="").index
    assert str(workbook.origins[0]).endswith(f"{TABLE}.xlsx:2")
    assert np.array_equal(csv.labels, workbook.labels)
    assert csv.sample_ids.tolist() == workbook.sample_ids.tolist()


def test_the_table_is_an_option(tmp_path: Path) -> None:
    settings = write(tmp_path)
    (tmp_path / f"{TABLE}.csv").rename(tmp_path / "val_10544.csv")
    with pytest.raises(DatasetError, match=rf"no label table {TABLE}\.csv or {TABLE}\.xlsx in"):
        opened("emotionet", settings)
    assert len(opened("emotionet", settings, table="val_10544").index) == 33
    assert len(opened("emotionet", settings, table="val_10544.csv").index) == 33


def test_people_are_pictures_or_folders(tmp_path: Path) -> None:
    settings = write(tmp_path)
    assert opened("emotionet", settings).index.people()[0] == FIRST
    folders = opened("emotionet", settings, people="folder").index.people()
    assert folders == [f"N_{number:010d}" for number in range(1, 5)]


def test_a_unit_without_a_column_is_refused(tmp_path: Path) -> None:
    settings = write(tmp_path)
    write_table(tmp_path, [row(FIRST, {1: 1})[:-20]], HEADER[:-20])
    with pytest.raises(DatasetError, match=r"no row that names the columns .*'AU 43' is missing"):
        opened("emotionet", settings)
    with pytest.raises(ValueError, match="units: unknown Action Unit 'AU48'"):
        EmotioNetOptions(units=[48])


@pytest.mark.parametrize(
    ("cells", "error", "said"),
    [
        (row(FIRST, {1: 3}), LabelOutOfRangeError, r"\.csv:2: label 3 of AU1 "),
        (row(FIRST, {1: "yes"}), DatasetError, r"\.csv:2: 'yes' as the label of AU 1 is no number"),
        (
            ["http://example.org/x.jpg'", *row(FIRST, {1: 1})[1:]],
            DatasetError,
            r"\.csv:2: .* holds no picture",
        ),
        (row(FIRST, {1: 1})[:-1], DatasetError, r"\.csv:2: the row has 61 cells and the header 62"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused(
    tmp_path: Path, cells: list[object], error: type[DatasetError], said: str
) -> None:
    settings = write(tmp_path)
    write_table(tmp_path, [cells])
    with pytest.raises(error, match=said):
        opened("emotionet", settings)


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="people 'face'"):
        EmotioNetOptions(people="face")
