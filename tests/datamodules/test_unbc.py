"""UNBC-McMaster: empty files, files of one suffix, and the pain score that checks the reader."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datamodules.action_units import UNKNOWN, Scale
from datamodules.dataset_options.other import UNBCOptions
from datamodules.errors import DatasetError, LabelOutOfRangeError
from datamodules.unbc import UNBC, pain_of
from tests.data.small_pictures import save
from tests.data.unbc.data import FRAMES, PEOPLE, stem, write, write_frame
from tests.datamodules.rows import ids_of, labels_of, messages, opened, present_in, row_of

WHO = PEOPLE[0]


def test_an_empty_file_means_that_nothing_is_active(tmp_path: Path) -> None:
    module = opened("unbc", write(tmp_path))
    assert (tmp_path / f"Frame_Labels/FACS/{stem(WHO, 1)}_facs.txt").read_text() == ""
    assert labels_of(module, stem(WHO, 1)) == dict.fromkeys(UNBC.aus, 0.0)
    assert len(module.index) == len(PEOPLE) * len(FRAMES)
    assert not len(module.findings)


def test_a_missing_file_is_no_empty_one(tmp_path: Path) -> None:
    settings = write(tmp_path)
    (tmp_path / f"Frame_Labels/FACS/{stem(WHO, 1)}_facs.txt").unlink()
    assert stem(WHO, 1) not in ids_of(opened("unbc", settings))


def test_intensities_are_levels_by_default(tmp_path: Path) -> None:
    module = opened("unbc", write(tmp_path))
    assert (module.coded_scale(), module.present_from("AU4")) == (Scale.LEVEL, 1)
    labels = labels_of(module, stem(WHO, 2))
    assert {code: value for code, value in labels.items() if value} == {"AU4": 2, "AU6": 1, "AU7": 3}
    assert "AU43" not in labels  # 0 or 1 only: no level
    assert module.index.attributes["sequence"][row_of(module, stem(WHO, 2))] == "ll042t1aaaff"


def test_closed_eyes_and_a_threshold_on_the_scale_presence(tmp_path: Path) -> None:
    settings = write(tmp_path)
    module = opened("unbc", settings, scale="presence")
    assert (module.coded_scale(), module.present_from("AU43")) == (Scale.PRESENCE, None)
    assert present_in(module, stem(WHO, 2)) == {"AU4", "AU6", "AU7", "AU43"}
    second = opened("unbc", settings, scale="presence", present_from=2)
    assert present_in(second, stem(WHO, 2)) == {"AU4", "AU7", "AU43"}


def test_rare_units_are_not_read(tmp_path: Path) -> None:
    module = opened("unbc", write(tmp_path), scale="presence")
    assert present_in(module, stem(WHO, 3)) == {"AU9", "AU10", "AU12"}  # AU50 stands there too
    assert present_in(module, stem(WHO, 4)) == {"AU20", "AU25", "AU26"}  # AU27 stands there too


def test_the_pain_score_is_no_label_although_its_files_have_the_same_suffix(tmp_path: Path) -> None:
    settings = write(tmp_path)
    shutil.rmtree(tmp_path / "Frame_Labels/FACS" / PEOPLE[1])
    module = opened("unbc", settings)
    assert PEOPLE[1] not in module.index.people()
    assert all("/FACS/" in str(origin) for origin in module.index.origins)


def test_the_pain_score_is_the_published_sum() -> None:
    assert pain_of({4: 1, 6: 2, 7: 3, 9: 5, 10: 4, 43: 1, 12: 5, 25: 5}) == 1 + 3 + 5 + 1
    assert pain_of({}) == 0
    assert pain_of(dict.fromkeys((4, 6, 7, 9, 10), 5) | {43: 1}) == 16


def test_a_frame_whose_pain_score_differs_is_left_out(tmp_path: Path) -> None:
    settings = write(tmp_path)
    for frame in range(5, 120):
        write_frame(tmp_path, WHO, frame, {}, 0, picture=frame == 5)
    write_frame(tmp_path, WHO, 5, {4: 3}, 2)
    module = opened("unbc", settings)
    assert stem(WHO, 5) not in ids_of(module)
    assert len(messages(module, "pspi-differs")) == 1
    assert "gives a pain score of 3 and its PSPI file 2" in messages(module, "pspi-differs")[0]
    with pytest.raises(DatasetError, match="gives a pain score of 3"):
        opened("unbc", settings, strict=True)


def test_a_copy_whose_columns_are_mixed_up_is_refused(tmp_path: Path) -> None:
    settings = write(tmp_path)
    for person in PEOPLE[:4]:
        write_frame(tmp_path, person, 2, {4: 1, 2: 4}, 6)
    with pytest.raises(DatasetError, match=r"4 of 40 FACS files in .*Frame_Labels differ from the scores"):
        opened("unbc", settings)


def test_without_pain_scores_it_goes_on_and_says_so(tmp_path: Path) -> None:
    settings = write(tmp_path)
    shutil.rmtree(tmp_path / "Frame_Labels/PSPI")
    module = opened("unbc", settings)
    assert len(module.index) == len(PEOPLE) * len(FRAMES)
    assert module.findings.counts() == {"optional-absent": 1}


def test_frames_without_a_pain_score_are_counted(tmp_path: Path) -> None:
    settings = write(tmp_path)
    for frame in (1, 2):
        (tmp_path / f"Frame_Labels/PSPI/{stem(WHO, frame)}_facs.txt").unlink()
    module = opened("unbc", settings, strict=True)
    assert len(module.index) == len(PEOPLE) * len(FRAMES)
    assert module.findings.counts() == {"optional-absent": 2}
    assert "2 frames have no file in" in messages(module, "optional-absent")[0]


def test_a_unit_that_is_listed_with_intensity_zero_is_unknown(tmp_path: Path) -> None:
    settings = write(tmp_path)
    write_frame(tmp_path, WHO, 1, {25: 0, 12: 2}, 0)
    for scale, twelve in (("level", 2), ("presence", 1)):
        labels = labels_of(opened("unbc", settings, scale=scale), stem(WHO, 1))
        assert (labels["AU25"], labels["AU12"], labels["AU26"]) == (UNKNOWN, twelve, 0)


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ({12: 7}, r"facs\.txt:1: label 7 of AU12 is outside the scale 'level'"),
        ({43: 2}, r"facs\.txt: label 2 of AU43 is outside the scale 'presence' \(0 or 1\)"),
    ],
)
def test_an_intensity_outside_its_scale_is_refused(tmp_path: Path, units: dict[int, int], said: str) -> None:
    settings = write(tmp_path)
    write_frame(tmp_path, WHO, 1, units, pain_of(units))
    with pytest.raises(LabelOutOfRangeError, match=said):
        opened("unbc", settings)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("FACS", "   4.0e+00\n", r"facs\.txt:1: the row has no intensity beside its unit"),
        ("FACS", "4 1 0 0\n4 2 0 0\n", r"facs\.txt:2: AU4 stands twice"),
        ("FACS", "<html>404</html>", r"facs\.txt is HTML"),
        ("PSPI", "", r"facs\.txt does not hold one number"),
        ("PSPI", "1 2", r"facs\.txt does not hold one number"),
    ],
)
def test_a_broken_label_file_is_named(tmp_path: Path, kind: str, text: str, said: str) -> None:
    settings = write(tmp_path)
    (tmp_path / f"Frame_Labels/{kind}/{stem(WHO, 1)}_facs.txt").write_text(text)
    with pytest.raises(DatasetError, match=said):
        opened("unbc", settings)


def test_a_labelled_frame_without_a_picture_is_reported(tmp_path: Path) -> None:
    settings = write(tmp_path)
    (tmp_path / f"Images/{stem(WHO, 2)}.png").unlink()
    module = opened("unbc", settings)
    assert len(module.index) == len(PEOPLE) * len(FRAMES) - 1
    assert module.findings.counts() == {"missing-image": 1}


def test_pictures_that_come_later_are_found_although_the_index_is_kept(tmp_path: Path) -> None:
    settings = write(tmp_path)
    before = len(opened("unbc", settings).index)
    write_frame(tmp_path, WHO, 9, {12: 1}, 0, picture=False)
    assert len(opened("unbc", settings).index) == before
    save(tmp_path / f"Images/{stem(WHO, 9)}.png")
    assert len(opened("unbc", settings).index) == before + 1


def test_csn_folds_are_the_five_of_the_paper(tmp_path: Path) -> None:
    module = opened("unbc", write(tmp_path))
    folds = module.protocol("csn_folds", PEOPLE).folds
    assert [" ".join(person[:3] for person in fold) for fold in folds] == [
        "042 052 092 103 115",
        "043 059 095 106 120",
        "047 064 096 107 121",
        "048 066 097 108 123",
        "049 080 101 109 124",
    ]
    initials = "ll dr ch jk jy, jh fn tv nm kz, jl ak bg hs vw, aa mg gf th jh, bm bn mg ib dn"
    assert ", ".join(" ".join(person[4:6] for person in fold) for fold in folds) == initials
    assert all(person[:3] == person[6:] for fold in folds for person in fold)
    assert set(module.split.test) == {"042-ll042", "052-dr052"}


def test_leave_one_subject_out_tests_everybody_alone(tmp_path: Path) -> None:
    module = opened("unbc", write(tmp_path))
    folds = module.protocol("leave_one_subject_out", PEOPLE).folds
    assert folds == tuple((person,) for person in sorted(PEOPLE))


@pytest.mark.parametrize("wrong", [{"scale": "intensity"}, {"present_from": 0}, {"folds": 1}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        UNBCOptions(**wrong)  # type: ignore[arg-type]
