"""CK+: the peak alone is coded, and an intensity of 0 means present."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.action_units import Scale
from datamodules.dataset_options.other import CKPlusOptions
from datamodules.errors import DatasetError, LabelOutOfRangeError
from tests.data.ck_plus.data import PEOPLE, SEQUENCES, picture, write, write_facs
from tests.datamodules.rows import ids_of, labels_of, messages, opened, present_in, row_of

FIRST = "S005/001/S005_001_00000011"


def test_only_the_frame_that_the_facs_file_names_is_a_row(tmp_path: Path) -> None:
    module = opened("ck_plus", write(tmp_path))
    wanted = [f"{who}/{which}/{who}_{which}_00000011" for who in PEOPLE for which in SEQUENCES]
    assert ids_of(module) == wanted
    shown = module.sample(row_of(module, FIRST)).image
    assert np.array_equal(shown, np.asarray(Image.open(picture(tmp_path, "S005", "001", 11)).convert("RGB")))
    assert not len(module.findings)


def test_intensity_zero_is_present_with_unknown_intensity(tmp_path: Path) -> None:
    module = opened("ck_plus", write(tmp_path))
    assert module.coded_scale() is Scale.PRESENCE
    assert present_in(module, FIRST) == {"AU1", "AU2", "AU25"}
    assert labels_of(module, FIRST)["AU2"] == 1  # its intensity is 0


def test_a_unit_that_is_not_listed_is_absent(tmp_path: Path) -> None:
    module = opened("ck_plus", write(tmp_path))
    labels = labels_of(module, "S014/003/S014_003_00000011")
    assert {code for code, value in labels.items() if value == 0} == set(labels) - {"AU6", "AU12"}


@pytest.mark.parametrize("text", ["1 2\n", "\t1.0e0\t2\n", "   1.0000000e+00      2.0000000e+00   \n\n"])
def test_rows_are_split_at_any_white_space(tmp_path: Path, text: str) -> None:
    settings = write(tmp_path)
    write_facs(tmp_path, "S005", "001", []).write_text(text, encoding="utf-8")
    assert present_in(opened("ck_plus", settings), FIRST) == {"AU1"}


def test_stray_files_are_passed_over(tmp_path: Path) -> None:
    settings = write(tmp_path)
    assert (tmp_path / "FACS/S005/001/.DS_Store").is_file()
    (tmp_path / "FACS/S005/001/notes.txt").write_text("of a student", encoding="utf-8")
    (tmp_path / "FACS/readme.txt").write_text("of the dataset", encoding="utf-8")
    assert len(opened("ck_plus", settings, strict=True).index) == len(PEOPLE) * len(SEQUENCES)


def test_units_are_chosen_by_number(tmp_path: Path) -> None:
    module = opened("ck_plus", write(tmp_path), units=[45, 12, 34])
    assert module.asked_aus == ("AU45", "AU12", "AD34")
    assert present_in(module, "S005/003/S005_003_00000011") == {"AU45", "AU12"}
    with pytest.raises(ValueError, match="units: unknown Action Unit 'AU48'"):
        CKPlusOptions(units=[48])


def test_a_sequence_without_a_facs_file_has_no_label(tmp_path: Path) -> None:
    settings = write(tmp_path)
    shutil.rmtree(tmp_path / "FACS/S005/002")
    assert not [one for one in ids_of(opened("ck_plus", settings)) if one.startswith("S005/002")]


def test_a_file_without_a_unit_is_left_out_and_reported(tmp_path: Path) -> None:
    settings = write(tmp_path)
    path = write_facs(tmp_path, "S005", "001", [])
    module = opened("ck_plus", settings)
    assert FIRST not in ids_of(module)
    assert messages(module, "unknown-label") == [
        f"{path} names no unit, so its peak was not coded: the sequence is left out"
    ]


def test_a_peak_without_its_picture_is_reported_and_stops_a_strict_run(tmp_path: Path) -> None:
    settings = write(tmp_path)
    picture(tmp_path, "S005", "001", 11).unlink()
    module = opened("ck_plus", settings)
    assert FIRST not in ids_of(module)
    assert module.findings.counts() == {"missing-image": 1}
    with pytest.raises(DatasetError, match=r"S005_001_00000011_facs\.txt has no picture"):
        opened("ck_plus", settings, strict=True)


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ([(12, 7)], r"_facs\.txt:1: label 7 of AU12 is outside the scale 'level'"),
        ([(1, 1), (2.5, 1)], r"_facs\.txt:2: label 2\.5 of the unit is outside"),
        ([(0, 12)], r"_facs\.txt:1: label 0 of the unit is outside"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused(
    tmp_path: Path, units: list[tuple[float, float]], said: str
) -> None:
    settings = write(tmp_path)
    write_facs(tmp_path, "S005", "001", units)
    with pytest.raises(LabelOutOfRangeError, match=said):
        opened("ck_plus", settings)


@pytest.mark.parametrize("folder", ["FACS", "cohn-kanade-images"])
def test_a_missing_folder_is_named(tmp_path: Path, folder: str) -> None:
    settings = write(tmp_path)
    shutil.rmtree(tmp_path / folder)
    with pytest.raises(DatasetError, match=rf"dataset 'ck_plus' has no {tmp_path}/{folder}"):
        opened("ck_plus", settings)


def test_upper_and_lower_case_of_folders_does_not_matter(tmp_path: Path) -> None:
    settings = write(tmp_path)
    (tmp_path / "FACS").rename(tmp_path / "facs")
    (tmp_path / "cohn-kanade-images").rename(tmp_path / "Cohn-Kanade-Images")
    assert len(opened("ck_plus", settings).index) == len(PEOPLE) * len(SEQUENCES)
