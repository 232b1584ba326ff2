"""SAMM: a header on row 14, names of four or five digits, intensity letters."""

from __future__ import annotations

from pathlib import Path

from openpyxl import load_workbook

from datamodules.action_units import UNKNOWN
from tests.data.samm.data import CLIPS, PEOPLE, write
from tests.datamodules.rows import ids_of, labels_of, opened, present_in, row_of


def test_the_header_is_found_on_row_14(tmp_path: Path) -> None:
    settings = write(tmp_path)
    sheet = load_workbook(tmp_path / "SAMM_Micro_FACS_Codes_v2.xlsx").worksheets[0]
    assert [sheet.cell(14, 1).value, sheet.cell(13, 2).value] == ["Subject", None]
    module = opened("samm", settings)
    assert len(module.index) == len(PEOPLE) * len(CLIPS)
    assert str(module.index.origins[row_of(module, "006/006_1_2/05562")]).endswith(".xlsx:15")


def test_frames_of_four_and_of_five_digits_are_compared_by_number(tmp_path: Path) -> None:
    module = opened("samm", write(tmp_path))
    four, five = (row_of(module, f"007/007_{one}") for one in ("1_3/00731", "3_5/00088"))
    assert str(module.index.places[four]) == "007/007_1_3/007_0731.jpg"
    assert str(module.index.places[five]) == "007/007_3_5/007_00088.jpg"
    assert module.sample(four).image.size


def test_sides_and_intensity_letters_are_read(tmp_path: Path) -> None:
    settings = write(tmp_path)
    module = opened("samm", settings)
    assert present_in(module, "006/006_1_2/05562") == {"AU12"}  # L12B
    assert present_in(module, "006/006_3_5/00088") == {"AU1", "AU2", "AU14"}  # AU1A+2+R14
    kept = opened("samm", settings, sides="keep")
    assert present_in(kept, "006/006_1_2/05562") == {"AU12L"}


def test_a_doubtful_unit_is_unknown(tmp_path: Path) -> None:
    module = opened("samm", write(tmp_path), units=[9, 12, 25])
    assert labels_of(module, "006/006_6_1/01003") == {"AU9": 1, "AU12": 0, "AU25": UNKNOWN}


def test_people_are_numbers_or_texts_in_the_workbook(tmp_path: Path) -> None:
    module = opened("samm", write(tmp_path))
    assert module.index.people() == [f"{person:03d}" for person in PEOPLE]


def test_everybody_is_tested_alone(tmp_path: Path) -> None:
    module = opened("samm", write(tmp_path))
    assert module.split.test == ("006",)
    assert len(module.protocol("leave_one_subject_out", module.index.people()).folds) == len(PEOPLE)
    assert ids_of(module)[0].startswith("006/")
