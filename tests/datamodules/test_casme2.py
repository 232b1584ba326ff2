"""CASME II: '/' for an apex, '?' for a unit, columns without a name, frames that are not padded."""

from __future__ import annotations

from pathlib import Path

import pytest

from datamodules.action_units import UNKNOWN
from datamodules.dataset_options.other import CASME2Options
from datamodules.errors import DatasetError
from tests.data.casme2.data import CLIPS, HEADER, PEOPLE, write, write_frame, write_table
from tests.datamodules.rows import ids_of, labels_of, messages, opened, present_in, row_of


def test_the_apex_frame_carries_the_units_of_the_clip(tmp_path: Path) -> None:
    module = opened("casme2", write(tmp_path))
    assert ids_of(module)[:5] == [
        *("sub01/EP01_12/00059", "sub01/EP02_01f/00009", "sub01/EP03_02/00131", "sub01/EP04_04/00047"),
        "sub01/EP19_06f/00101",
    ]
    assert len(module.index) == 5 * len(PEOPLE)
    assert present_in(module, "sub01/EP04_04/00047") == {"AU1", "AU2"}
    assert present_in(module, "sub01/EP02_01f/00009") == {"AU12"}  # the cell holds a number


def test_columns_are_found_between_nameless_ones(tmp_path: Path) -> None:
    settings = write(tmp_path)
    assert HEADER.count(None) == 2
    write_table(tmp_path, [(1, *CLIPS[0])], [name and f" {name.upper()} " for name in HEADER])
    with pytest.raises(DatasetError, match="leaves nobody in the train part"):  # read, but of one person
        opened("casme2", settings)
    write_table(tmp_path, [(1, *CLIPS[0])], ["Subjects", *HEADER[1:]])
    with pytest.raises(DatasetError, match=r"coding-20140508\.xlsx has no row .*'Subject' is missing"):
        opened("casme2", settings)


def test_frames_that_are_not_padded_are_compared_by_number(tmp_path: Path) -> None:
    module = opened("casme2", write(tmp_path))
    place = str(module.index.places[row_of(module, "sub01/EP02_01f/00009")])
    assert place == "Cropped/sub01/EP02_01f/reg_img9.jpg"


def test_a_clip_without_an_apex_is_left_out(tmp_path: Path) -> None:
    module = opened("casme2", write(tmp_path))
    assert not [one for one in ids_of(module) if "EP06_02f" in one]
    told = [one for one in messages(module, "unknown-label") if "EP06_02f" in one]
    assert len(told) == len(PEOPLE)
    assert "no frame of clip EP06_02f is known to be its apex (OnsetFrame '60', ApexFrame '/'" in told[0]


@pytest.mark.parametrize(("onset", "offset"), [(60, 80), (20, 58)])
def test_an_apex_outside_its_clip_is_no_apex(tmp_path: Path, onset: int, offset: int) -> None:
    settings = write(tmp_path)
    clips = [(p, *c) for p in PEOPLE for c in CLIPS[1:]]
    write_table(tmp_path, [(1, "EP01_12", onset, 59, offset, 4), *clips])
    module = opened("casme2", settings)
    assert "sub01/EP01_12/00059" not in ids_of(module)
    assert "xlsx:2: no frame of clip EP01_12 is known to be its apex" in messages(module, "unknown-label")[0]


def test_what_a_question_mark_leaves_open_is_unknown(tmp_path: Path) -> None:
    module = opened("casme2", write(tmp_path))
    assert not [one for one in ids_of(module) if "EP13_04" in one]  # "?" alone
    assert any("'?' says of no unit" in one for one in messages(module, "unknown-label"))
    labels = labels_of(module, "sub01/EP19_06f/00101")  # "4+?"
    assert labels.pop("AU4") == 1
    assert set(labels.values()) == {UNKNOWN}


def test_sides_are_dropped_or_kept(tmp_path: Path) -> None:
    settings = write(tmp_path)
    assert present_in(opened("casme2", settings), "sub01/EP01_12/00059") == {"AU4", "AU10"}
    kept = opened("casme2", settings, sides="keep", units=[4, 10, 14])
    assert present_in(kept, "sub01/EP01_12/00059") == {"AU4L", "AU4R", "AU10L"}
    assert present_in(kept, "sub01/EP03_02/00131") == {"AU14R"}


def test_frames_around_the_apex_stay_between_onset_and_offset(tmp_path: Path) -> None:
    settings = write(tmp_path)
    clips = [(p, *c) for p in PEOPLE for c in CLIPS if c[0] != "EP02_01f"]
    write_table(tmp_path, [(1, "EP02_01f", 8, 9, 11, 12), *clips])
    for frame in (6, 7):
        write_frame(tmp_path, 1, "EP02_01f", frame)
    module = opened("casme2", settings, around=3)
    of_clip = [one for one in ids_of(module) if one.startswith("sub01/EP02_01f/")]
    assert of_clip == [f"sub01/EP02_01f/{number:05d}" for number in (8, 9, 10, 11)]
    assert (tmp_path / "Cropped/sub01/EP02_01f/reg_img12.jpg").is_file()


def test_the_raw_frames_are_an_option(tmp_path: Path) -> None:
    settings = write(tmp_path)
    for person in PEOPLE:
        write_frame(tmp_path, person, "EP01_12", 59, "CASME2_RAW_selected")
    module = opened("casme2", settings, pictures="CASME2_RAW_selected")
    assert str(module.index.places[0]) == "CASME2_RAW_selected/sub01/EP01_12/img59.jpg"


def test_a_missing_apex_frame_is_reported(tmp_path: Path) -> None:
    settings = write(tmp_path)
    (tmp_path / "Cropped/sub01/EP01_12/reg_img59.jpg").unlink()
    module = opened("casme2", settings)
    assert "sub01/EP01_12/00059" not in ids_of(module)
    assert module.findings.counts()["missing-frame"] == 1
    with pytest.raises(DatasetError, match=r"xlsx:2: .*EP01_12 has no frame 59, the apex"):
        opened("casme2", settings, strict=True)


def test_protocols_test_everybody_alone_or_the_people_of_opengraphau(tmp_path: Path) -> None:
    settings = write(tmp_path)
    module = opened("casme2", settings)
    assert module.split.test == ("sub01",)
    tested = module.protocol("opengraphau", module.index.people()).folds
    assert tested == (("sub08", "sub09", "sub10", "sub15", "sub23", "sub26"),)


def test_a_person_that_is_no_number_is_refused(tmp_path: Path) -> None:
    settings = write(tmp_path)
    write_table(tmp_path, [("first", *CLIPS[0])])
    with pytest.raises(DatasetError, match=r"xlsx:2: 'first' in column Subject is no number of a person"):
        opened("casme2", settings)


def test_a_clip_that_leads_out_of_the_root_is_refused(tmp_path: Path) -> None:
    settings = write(tmp_path)
    write_table(tmp_path, [(1, "../../../elsewhere", *CLIPS[0][1:])])
    with pytest.raises(DatasetError, match=r"xlsx:2: the path '.*elsewhere' leads out of"):
        opened("casme2", settings)


@pytest.mark.parametrize("wrong", [{"around": -1}, {"sides": "both"}, {"units": [49]}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CASME2Options(**wrong)  # type: ignore[arg-type]
