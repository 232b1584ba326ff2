"""RAF-AU: sides, nulls, blanks, and numbers in names."""

from __future__ import annotations

from pathlib import Path

import pytest

from datamodules.action_units import UNKNOWN
from datamodules.dataset_options.other import RAFAUOptions
from datamodules.errors import DatasetError
from tests.data.raf_au.data import CODINGS, PICTURES, write, write_labels
from tests.data.small_pictures import save
from tests.datamodules.rows import ids_of, labels_of, messages, opened, present_in, row_of


def test_it_reads_the_thirteen_units(tmp_path: Path) -> None:
    module = opened("raf_au", write(tmp_path))
    assert module.asked_aus == tuple(f"AU{n}" for n in (1, 2, 4, 5, 6, 9, 10, 12, 16, 17, 25, 26, 27))
    assert present_in(module, "0001") == {"AU1", "AU2", "AU12", "AU25"}
    assert present_in(module, "0004") == {"AU5", "AU27", "AU1"}  # AU43 is none of the thirteen


def test_the_side_is_dropped_by_default(tmp_path: Path) -> None:
    module = opened("raf_au", write(tmp_path))
    assert labels_of(module, "0001")["AU12"] == 1  # L12
    assert labels_of(module, "0002")["AU10"] == 1  # R10


def test_the_side_is_kept_by_option(tmp_path: Path) -> None:
    module = opened("raf_au", write(tmp_path), sides="keep")
    assert module.asked_aus[:4] == ("AU1L", "AU1R", "AU2L", "AU2R")
    assert module.asked_aus[-2:] == ("AU26", "AU27")  # a jaw has no sides
    left = labels_of(module, "0001")
    assert (left["AU12L"], left["AU12R"]) == (1, 0)
    assert (left["AU1L"], left["AU1R"]) == (1, 1)  # no side: both
    right = labels_of(module, "0002")
    assert (right["AU10L"], right["AU10R"], right["AU4L"]) == (0, 1, 1)
    assert present_in(module, "0006") == {"AU9L", "AU9R", "AU16L", "AU16R", "AU4L", "AU4R"}


def test_a_mirrored_face_has_its_sides_changed(tmp_path: Path) -> None:
    module = opened("raf_au", write(tmp_path), sides="keep")
    module = type(module)(module.settings, module.loading.__class__(flip=1.0))
    row = row_of(module, "0001")
    mirrored = dict(zip(module.asked_aus, module.training_sample(row, 0).labels.tolist(), strict=True))
    assert (mirrored["AU12L"], mirrored["AU12R"]) == (0, 1)


def test_null_is_no_label_unless_an_option_says_so(tmp_path: Path) -> None:
    settings = write(tmp_path)
    module = opened("raf_au", settings)
    nulls = [number for number in range(1, PICTURES + 1) if CODINGS[(number - 1) % len(CODINGS)] == "null"]
    assert ids_of(module) == [f"{n:04d}" for n in range(1, PICTURES + 1) if n not in nulls]
    assert module.findings.counts() == {"unknown-label": len(nulls)}
    absent = opened("raf_au", settings, null="absent")
    assert len(absent.index) == PICTURES
    assert set(labels_of(absent, "0005").values()) == {0}


def test_blanks_at_the_end_of_a_line_do_not_matter(tmp_path: Path) -> None:
    settings = write(tmp_path)
    lines = [
        "0001.jpg 1+2 ",
        "0002.jpg  4+R10 \t",
        "0003.jpg 1 + 12",
        *(f"{n:04d}.jpg 1" for n in range(4, 37)),
    ]
    write_labels(tmp_path, lines)
    module = opened("raf_au", settings, folds_file="")
    assert present_in(module, "0001") == {"AU1", "AU2"}
    assert present_in(module, "0002") == {"AU4", "AU10"}
    assert present_in(module, "0003") == {"AU1", "AU12"}


def test_pictures_are_found_by_number(tmp_path: Path) -> None:
    settings = write(tmp_path)
    (tmp_path / "aligned/0003_aligned.jpg").rename(tmp_path / "aligned/3_aligned.JPG")
    module = opened("raf_au", settings)
    assert str(module.index.places[row_of(module, "0003")]) == "aligned/3_aligned.JPG"


def test_the_uncropped_pictures_are_an_option(tmp_path: Path) -> None:
    settings = write(tmp_path)
    for number in range(1, PICTURES + 1):
        save(tmp_path / f"original/{number:04d}.jpg")
    module = opened("raf_au", settings, pictures="original")
    assert str(module.index.places[0]) == "original/0001.jpg"


def test_a_token_that_is_no_unit_leaves_the_picture_out(tmp_path: Path) -> None:
    settings = write(tmp_path)
    write_labels(tmp_path, ["0001.jpg 1+X12", "0002.jpg", *(f"{n:04d}.jpg 1" for n in range(3, 37))])
    module = opened("raf_au", settings)
    assert ids_of(module)[0] == "0003"
    told = messages(module, "unknown-label")
    assert len(told) == 2
    assert told[0].endswith("RAFAU_label.txt:1: '1+X12' names no units: the picture is left out")


def test_what_a_question_mark_leaves_open_is_unknown(tmp_path: Path) -> None:
    settings = write(tmp_path)
    write_labels(tmp_path, ["0001.jpg 1+12?", *(f"{n:04d}.jpg 1" for n in range(2, 37))])
    labels = labels_of(opened("raf_au", settings), "0001")
    assert (labels["AU1"], labels["AU12"], labels["AU2"]) == (1, UNKNOWN, 0)


def test_a_missing_picture_is_reported(tmp_path: Path) -> None:
    settings = write(tmp_path)
    (tmp_path / "aligned/0001_aligned.jpg").unlink()
    module = opened("raf_au", settings)
    assert ids_of(module)[0] == "0002"
    assert module.findings.counts()["missing-image"] == 1
    with pytest.raises(DatasetError, match=r"RAFAU_label\.txt:1: aligned has no picture of number 1"):
        opened("raf_au", settings, strict=True)


def test_a_picture_that_is_labelled_twice_is_refused(tmp_path: Path) -> None:
    settings = write(tmp_path)
    write_labels(tmp_path, ["0001.jpg 1", "1.jpg 2"])
    with pytest.raises(DatasetError, match=r"RAFAU_label\.txt:2: sample '0001' .* stands twice"):
        opened("raf_au", settings)


def test_every_picture_is_a_person_of_its_own(tmp_path: Path) -> None:
    module = opened("raf_au", write(tmp_path))
    assert module.index.people() == ids_of(module)


@pytest.mark.parametrize("wrong", [{"sides": "left"}, {"null": "zero"}, {"units": []}, {"units": [1, 1]}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RAFAUOptions(**wrong)  # type: ignore[arg-type]
