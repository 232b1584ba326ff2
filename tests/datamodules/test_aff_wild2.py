"""Aff-Wild2: rows without crops, -1, people who share a video, and folders that change their names."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from datamodules.action_units import UNKNOWN
from datamodules.dataset_options.other import AffWild2Options
from datamodules.errors import DatasetError, LabelOutOfRangeError
from tests.data.aff_wild2.data import AUS, ROWS, TRAIN, VALIDATION, write, write_video
from tests.datamodules.rows import ids_of, labels_of, messages, opened, present_in, row_of

SET = "annotations/AU_Detection_Challenge/Train_Set"


def test_row_i_after_the_header_is_crop_i_from_one(tmp_path: Path) -> None:
    module = opened("aff_wild2", write(tmp_path))
    assert module.asked_aus == AUS
    assert present_in(module, "105/00001") == {"AU2", "AU6", "AU12", "AU25"}
    row = row_of(module, "105/00006")
    assert str(module.index.places[row]) == "cropped_aligned/105/00006.jpg"
    assert str(module.index.origins[row]).endswith("Train_Set/105.txt:7")
    assert module.sample(row).image.shape == (112, 112, 3)


def test_only_frames_with_a_row_and_a_crop_are_read(tmp_path: Path) -> None:
    module = opened("aff_wild2", write(tmp_path))
    of_one = [one for one in ids_of(module) if one.startswith("105/")]
    assert of_one == ["105/00001", "105/00002", "105/00006", "105/00007"]  # no crop 3, no row 8
    told = messages(module, "no-crop")
    assert len(told) == len(TRAIN) + len(VALIDATION)
    assert told[0].startswith("1 of the 7 rows of ")


def test_labels_may_be_longer_than_the_crops_at_the_end(tmp_path: Path) -> None:
    settings = write(tmp_path)
    write_video(tmp_path / SET, "105", [*ROWS, ROWS[0], ROWS[0], ROWS[0]])
    of_one = [one for one in ids_of(opened("aff_wild2", settings)) if one.startswith("105/")]
    assert of_one[-1] == "105/00008"


def test_missing_crops_stop_no_strict_run_but_a_missing_folder_does(tmp_path: Path) -> None:
    settings = write(tmp_path)
    assert len(opened("aff_wild2", settings, strict=True).index)
    shutil.rmtree(tmp_path / "cropped_aligned/105")
    module = opened("aff_wild2", settings)
    assert module.findings.counts()["missing-image"] == len(ROWS)
    assert "105" not in module.index.people()
    with pytest.raises(DatasetError, match=r"7 of the 7 rows of .*105\.txt have no crop"):
        opened("aff_wild2", settings, strict=True)


def test_a_row_with_any_minus_one_is_dropped_or_masked(tmp_path: Path) -> None:
    settings = write(tmp_path)
    dropped = opened("aff_wild2", settings)
    assert "105/00004" not in ids_of(dropped)
    assert "2 rows of" in messages(dropped, "unknown-label")[0]
    masked = opened("aff_wild2", settings, partly_coded="mask")
    labels = labels_of(masked, "105/00004")
    assert (labels["AU24"], labels["AU23"], labels["AU1"]) == (UNKNOWN, 1, 0)
    assert "105/00005" not in ids_of(masked)  # nothing of it is known


def test_people_of_one_video_are_subjects_of_their_own(tmp_path: Path) -> None:
    module = opened("aff_wild2", write(tmp_path))
    assert module.index.people() == sorted((*TRAIN, *VALIDATION))


def test_the_validation_set_is_tested(tmp_path: Path) -> None:
    module = opened("aff_wild2", write(tmp_path))
    assert module.split.test == tuple(sorted(VALIDATION))
    assert set(module.split.train) | set(module.split.val) == set(TRAIN)


@pytest.mark.parametrize(
    "challenge",
    ["annotations/AU_Set", "annotations/3rd_AU_Detection_Challenge", "Annotations/au_detection_challenge"],
)
def test_the_folder_of_the_challenge_is_found_by_its_names(tmp_path: Path, challenge: str) -> None:
    settings = write(tmp_path, challenge)
    if challenge.startswith("Annotations"):
        shutil.rmtree(tmp_path / "annotations", ignore_errors=True)
    assert len(opened("aff_wild2", settings).index) == 4 * (len(TRAIN) + len(VALIDATION))


def test_the_folder_of_the_challenge_is_an_option(tmp_path: Path) -> None:
    settings = write(tmp_path, "labels/2020")
    with pytest.raises(DatasetError, match=r"options\.annotations to the folder of Train_Set"):
        opened("aff_wild2", settings)
    assert len(opened("aff_wild2", settings, annotations="labels/2020").index) == 36


def test_columns_are_read_by_their_names(tmp_path: Path) -> None:
    settings = write(tmp_path)
    turned = [tuple(reversed(row)) for row in ROWS]
    write_video(tmp_path / SET, "105", turned, tuple(reversed(AUS)))
    assert present_in(opened("aff_wild2", settings), "105/00001") == {"AU2", "AU6", "AU12", "AU25"}


@pytest.mark.parametrize("header", [("0",) * 11 + ("1",), (*AUS[:11], "AU27"), (*AUS[:11], "AU1"), AUS[:11]])
def test_a_first_line_that_does_not_name_the_units_is_refused(tmp_path: Path, header: Sequence[str]) -> None:
    settings = write(tmp_path)
    write_video(tmp_path / SET, "105", [row[: len(header)] for row in ROWS], header)
    with pytest.raises(DatasetError, match=r"105\.txt:1: the first line names .* and not the 12 units"):
        opened("aff_wild2", settings)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((0,) * 11, r"105\.txt:3: the row has 11 cells and the header 12"),
        ((0,) * 11 + ("x",), r"105\.txt: a label is no number"),
        ((), r"105\.txt:3: the line is blank"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused(tmp_path: Path, row: Sequence[object], said: str) -> None:
    settings = write(tmp_path)
    write_video(tmp_path / SET, "105", [ROWS[0], row, ROWS[1]])
    with pytest.raises(DatasetError, match=said):
        opened("aff_wild2", settings)


def test_a_label_outside_the_scale_is_refused_with_its_line(tmp_path: Path) -> None:
    settings = write(tmp_path)
    write_video(tmp_path / SET, "105", [ROWS[0], (7, *ROWS[0][1:])])
    with pytest.raises(LabelOutOfRangeError, match=r"105\.txt:3: label 7 of AU1 "):
        opened("aff_wild2", settings)


def test_a_video_in_both_sets_is_refused(tmp_path: Path) -> None:
    settings = write(tmp_path)
    write_video(tmp_path / SET, VALIDATION[1], ROWS)
    with pytest.raises(
        DatasetError, match=f"video '{VALIDATION[1]}' is in the train set and in the validation"
    ):
        opened("aff_wild2", settings)


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="partly_coded"):
        AffWild2Options(partly_coded="zero")
