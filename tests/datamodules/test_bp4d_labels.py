"""The two kinds of label files of BP4D, and the one line that each mistake in one gets."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from datamodules.action_units import BP4D_AUS, UNKNOWN, Scale
from datamodules.bp4d_files import INTENSITY_AUS
from datamodules.dataset_options.core import BP4DOptions
from datamodules.errors import DatasetError, LabelOutOfRangeError
from tests.data.bp4d.data import NAMED
from tests.data.drawn import save_text
from tests.datamodules.bp4d_roots import CODED, bp4d, cells, said, table, write_table


@pytest.mark.parametrize("legacy", [True, False])
def test_both_headers_give_the_same_labels(tmp_path: Path, legacy: bool) -> None:
    write_table(tmp_path, table([1, 2], legacy))
    module = bp4d(tmp_path, pictures="none")
    assert module.asked_aus == BP4D_AUS
    assert module.coded_scale() is Scale.PRESENCE
    assert module.index.labels.tolist() == [[0, 1] * 6] * 2


def test_the_cell_over_the_frame_numbers_means_nothing(tmp_path: Path) -> None:
    """Re-released files have a 1 there, like AU1; read by names alone it would be taken for it."""
    for first in ("1", "0", "Frame", ""):
        write_table(tmp_path, first + table([1, 2], legacy=False).removeprefix("1"))
        assert bp4d(tmp_path, pictures="none").build_index().labels.tolist() == [[0, 1] * 6] * 2


@pytest.mark.parametrize(
    ("legacy", "old", "new", "said"),
    [
        (True, "11,12,13", "11,13,12", "column 12 is headed 13, so the Action Units are mixed up"),
        (False, "11,12,13", "11,11,13", "0 columns are headed 12, one is needed for AU12"),
        (False, "11,12,13", "12,12,13", "2 columns are headed 12, one is needed for AU12"),
    ],
)
def test_mixed_up_columns_are_refused(tmp_path: Path, legacy: bool, old: str, new: str, said: str) -> None:
    write_table(tmp_path, table([1], legacy).replace(old, new, 1))
    with pytest.raises(DatasetError, match=rf"F001_T1\.csv:1: {said}"):
        _ = bp4d(tmp_path, pictures="none").index


def test_a_9_is_unknown_and_an_empty_cell_too(tmp_path: Path) -> None:
    rows = [cells(NAMED, 1, au2="9"), cells(NAMED, 2, au2=""), cells(NAMED, 3, au2="?", au24="9")]
    write_table(tmp_path, "\n".join([",".join(map(str, NAMED)), *rows]))
    labels = bp4d(tmp_path, pictures="none").index.labels
    assert labels[:, 1].tolist() == [UNKNOWN] * 3
    assert labels[:, 11].tolist() == [1, 1, UNKNOWN]
    assert (labels[:, 2:11] == [0, 1, 0, 1, 0, 1, 0, 1, 0]).all()


def test_a_frame_of_nines_alone_is_left_out(tmp_path: Path) -> None:
    nines = {f"au{one}": "9" for one in CODED}
    rows = [cells(NAMED, 1), cells(NAMED, 2, **nines)]
    write_table(tmp_path, "\n".join([",".join(map(str, NAMED)), *rows]))
    module = bp4d(tmp_path, pictures="none")
    assert [str(one) for one in module.index.sample_ids] == ["F001/T1/0001"]
    assert said(module) == [("unknown-label", 1)]


def test_occluded_frames_stay_unless_asked_for(tmp_path: Path) -> None:
    write_table(tmp_path, table([1, 2, 3], last="1"))
    write_table(tmp_path, table([1, 2, 3], legacy=False), "F001_T2")
    assert len(bp4d(tmp_path, pictures="none").index) == 6
    module = bp4d(tmp_path, pictures="none", drop_occluded=True)
    assert [str(one) for one in module.index.sample_ids] == [
        "F001/T1/0001",
        *(f"F001/T2/000{frame}" for frame in (1, 2, 3)),
    ]
    assert module.index.labels.shape == (4, 12)


@pytest.mark.parametrize(
    ("row", "error", "said"),
    [
        (cells(NAMED, 2, au12="7"), LabelOutOfRangeError, r"csv:3: label 7 of AU12"),
        (cells(NAMED, 2, au12="x"), DatasetError, r"csv:3: 'x' as the label of AU12 is no number"),
        (cells(NAMED, 2) + ",1", DatasetError, r"csv:3: the row has 25 cells"),
        (cells(NAMED, 2).rpartition(",")[0], DatasetError, r"csv:3: the row has 23 cells"),
        (cells(NAMED, 1), DatasetError, r"csv:3: sample 'F001/T1/0001' of dataset 'bp4d' stands twice"),
        ("1.5" + cells(NAMED, 2)[1:], DatasetError, r"csv:3: 1\.5 is no frame number"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused_with_its_line(
    tmp_path: Path, row: str, error: type[DatasetError], said: str
) -> None:
    write_table(tmp_path, "\n".join([",".join(map(str, NAMED)), cells(NAMED, 1), row]))
    with pytest.raises(error, match=rf"F001_T1\.{said}"):
        _ = bp4d(tmp_path, pictures="none").index


@pytest.mark.parametrize("content", ["<html><body>Please log in</body></html>", "a\0b"])
def test_a_label_file_that_is_no_table_is_named(tmp_path: Path, content: str) -> None:
    path = write_table(tmp_path, content)
    with pytest.raises(DatasetError, match=rf"{path.name} is .*no table of labels"):
        _ = bp4d(tmp_path, pictures="none").index


def test_label_files_by_another_name_are_reported(tmp_path: Path) -> None:
    write_table(tmp_path, table([1]))
    write_table(tmp_path, table([1]), "F001_T2 (copy)")
    write_table(tmp_path, "1,3\n", "F001_T1_AU06")  # an intensity file that lies here, not the occurrence
    module = bp4d(tmp_path, pictures="none")
    assert len(module.index) == 1
    assert said(module) == [("unread-file", 2)]


def test_a_root_without_labels_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no folder AUCoding below"):
        _ = bp4d(tmp_path, pictures="none").index
    (tmp_path / "AUCoding").mkdir()
    with pytest.raises(DatasetError, match=r"holds no label files such as F001_T1\.csv"):
        _ = bp4d(tmp_path, pictures="none").index


# Intensities -----------------------------------------------------------------------------------------------


def _intensities(root: Path, **texts: str) -> None:
    """The five files of F001/T1, frames 1 to 3 at level 1; ``texts`` replace those of some (``AU10=...``)."""
    write_table(root, table([1, 2, 3]))
    for code in INTENSITY_AUS:
        au = f"AU{int(code[2:]):02d}"
        text = texts.get(code, "1,1\n2,1\n3,1\n")
        save_text(root / f"AUCoding/AU_INT/{au}/F001_T1_{au}.csv", text)


def test_intensities_are_joined_on_the_frame_number(tmp_path: Path) -> None:
    _intensities(tmp_path, AU10="2,5\n3,4\n", AU17="1,9\n2,0\n3,9\n")
    module = bp4d(tmp_path, labels="intensity", pictures="none")
    assert module.coded_scale() is Scale.LEVEL
    assert module.index.labels.tolist() == [
        [1, UNKNOWN, 1, 1, UNKNOWN],
        [1, 5, 1, 1, 0],
        [1, 4, 1, 1, UNKNOWN],
    ]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("1,1\n2,7\n", LabelOutOfRangeError, r"F001_T1_AU10\.csv:2: label 7 of AU10 .*0, 1, 2, 3, 4 or 5"),
        ("1,1\n2\n", DatasetError, r"F001_T1_AU10\.csv:2: the row has 1 cells"),
        ("1,1,0\n2,1,0\n", DatasetError, r"F001_T1_AU10\.csv:1: the row has 3 cells, not a frame"),
        ("1,1\n1,2\n", DatasetError, r"F001_T1_AU10\.csv:2: frame 1 stands twice"),
    ],
)
def test_an_intensity_file_that_cannot_be_meant_is_refused(
    tmp_path: Path, text: str, error: type[DatasetError], said: str
) -> None:
    _intensities(tmp_path, AU10=text)
    with pytest.raises(error, match=said):
        _ = bp4d(tmp_path, labels="intensity", pictures="none").index


def test_a_missing_intensity_file_is_not_absence(tmp_path: Path) -> None:
    _intensities(tmp_path)
    (tmp_path / "AUCoding/AU_INT/AU14/F001_T1_AU14.csv").unlink()
    with pytest.raises(DatasetError, match="has no file of AU14 for F001/T1: a missing file does not mean"):
        _ = bp4d(tmp_path, labels="intensity", pictures="none").index
    shutil.rmtree(tmp_path / "AUCoding/AU_INT")
    with pytest.raises(DatasetError, match=r"there is no folder AU_INT or AU-Intensity-Codes3\.0 below"):
        _ = bp4d(tmp_path, labels="intensity", pictures="none").index


def test_an_intensity_file_in_the_folder_of_another_unit_is_refused(tmp_path: Path) -> None:
    _intensities(tmp_path)
    folder = tmp_path / "AUCoding/AU_INT"
    (folder / "AU06/F001_T1_AU06.csv").rename(folder / "AU10/F001_T1_AU06.csv")
    with pytest.raises(DatasetError, match=r"AU10/F001_T1_AU06\.csv lies in the folder of AU10"):
        _ = bp4d(tmp_path, labels="intensity", pictures="none").index


@pytest.mark.parametrize("wrong", [{"labels": "both"}, {"pictures": "zip"}, {"frame_offset": 2}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is not one of"):
        BP4DOptions(**wrong)  # type: ignore[arg-type]


def test_the_labels_of_the_index_are_float32(tmp_path: Path) -> None:
    write_table(tmp_path, table([1]))
    assert bp4d(tmp_path, pictures="none").index.labels.dtype == np.float32
