"""What copies of FEAFA and FEAFA+ differ in, and the one line that each mistake in one gets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from datamodules.action_units import FEAFA_AUS, UNKNOWN, action_unit
from datamodules.dataset_options.core import FEAFAOptions
from datamodules.errors import DatasetError, EmptyDatasetError, LabelOutOfRangeError, MissingRootError
from datamodules.feafa import FEAFA
from datamodules.options import DatasetSettings
from datamodules.transforms import mirrored_labels
from tests.data.drawn import plain, save, save_text, save_video
from tests.data.feafa.data import line, write_part_b
from tests.datamodules.conftest import Small
from tests.datamodules.helpers import LOADING, dataset

VALUES = tuple(one / 100 for one in range(1, 25))


def _frame(folder: Path, stem: str, suffix: str = ".jpg", text: str | None = None, grey: int = 100) -> None:
    """One labelled picture; the values are 0.01 to 0.24 in the order of the file."""
    save(folder / f"{stem}{suffix}", plain(grey))
    save_text(folder / f"{stem}.auw", line(VALUES) if text is None else text)


def _feafa(root: Path, strict: bool = False, **options: object) -> FEAFA:
    chosen = FEAFAOptions(**options)  # type: ignore[arg-type]
    return FEAFA(DatasetSettings(root=root, options=chosen, strict=strict), LOADING)


def _ids(module: FEAFA) -> list[str]:
    return [str(one) for one in module.index.sample_ids]


def _disfa(root: Path, frames: int, video: int = 2) -> Path:
    """A left video of DISFA whose frame k, counted from 0, has the grey 40 (k + 1)."""
    path = root / f"Videos_LeftCamera/LeftVideoSN{video:03d}_comp.avi"
    save_video(path, [plain(40 * (one + 1)) for one in range(frames)])
    return root


# Part A ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "stem", "sequence"),
    [
        ("PV057.output", "00000994", "PV057"),
        ("FEAFA/train/PV057.output", "00000994", "PV057"),
        ("top/PV057_data", "00000994", "PV057"),
        ("top/walk_data", "00000994", "walk"),
        ("flat", "PV05700000994", "PV057"),
        ("pv57.OUTPUT", "00000994", "PV057"),
        ("top/12_data", "00000994", "12"),
    ],
)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".BMP"])
def test_sequence_and_frame_are_found_in_every_form(
    tmp_path: Path, folder: str, stem: str, sequence: str, suffix: str
) -> None:
    _frame(tmp_path / folder, stem, suffix)
    module = _feafa(tmp_path)
    assert _ids(module) == [f"{sequence}/00000994"]
    assert module.index.people() == [sequence]
    assert module.sample(0).image.mean() == pytest.approx(100, abs=3)


def test_the_24_values_keep_their_order(tmp_path: Path) -> None:
    _frame(tmp_path / "PV001.output", "00000000")
    module = _feafa(tmp_path)
    assert module.asked_aus == FEAFA_AUS
    assert module.index.labels[0].tolist() == pytest.approx(VALUES)
    assert len(FEAFA_AUS) == 24


def test_a_flip_exchanges_the_seven_pairs(tmp_path: Path) -> None:
    _frame(tmp_path / "PV001.output", "00000000")
    labels = _feafa(tmp_path).index.labels[0]
    order = [*(1, 0), *(3, 2), *(5, 4), *(7, 6), 8, *(10, 9), *(12, 11), *(14, 13), *range(15, 24)]
    assert mirrored_labels(FEAFA_AUS, labels).tolist() == labels[order].tolist()


def test_left_may_be_the_viewers(tmp_path: Path) -> None:
    _frame(tmp_path / "PV001.output", "00000000")
    plainly, exchanged = (
        _feafa(tmp_path, left_is=whose).build_index().labels[0] for whose in ("subject", "viewer")
    )
    assert exchanged[:2].tolist() == plainly[1::-1].tolist()
    assert exchanged.tolist() == mirrored_labels(FEAFA_AUS, plainly).tolist()
    assert action_unit(FEAFA_AUS[0]).mirror == FEAFA_AUS[1]


def test_frames_without_a_label_file_are_no_rows_and_stray_files_none_either(settings_of: Small) -> None:
    """The fake has a picture 2 without labels, a folder of part B and what macOS leaves in archives."""
    module = dataset("feafa", settings_of("feafa"))
    frames = {one.rpartition("/")[2] for one in _ids(module)}  # type: ignore[arg-type]
    assert frames == {"00000000", "00000001", "00000994"}
    assert len(module.index.people()) == 9
    (found,) = module.findings
    assert (found.kind, found.count) == ("other-part", 2)
    assert "1 sequences of part b" in found.message
    assert "(SN002 to SN002) are not read: set data.datasets.feafa.options.part=both" in found.message
    assert len(dataset("feafa", settings_of("feafa"), strict=True).index) == len(module.index)


def test_a_label_file_without_a_picture_is_reported(tmp_path: Path) -> None:
    _frame(tmp_path / "PV001.output", "00000000")
    save_text(tmp_path / "PV001.output/00000001.auw", line(VALUES))
    save_text(tmp_path / "PV001.output/notes.auw", line(VALUES))
    module = _feafa(tmp_path)
    assert _ids(module) == ["PV001/00000000"]
    assert module.findings.counts() == {"unread-file": 1, "missing-image": 1}
    with pytest.raises(DatasetError, match=r"notes\.auw has no frame number of 8 digits"):
        _ = _feafa(tmp_path, strict=True).index


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (line(VALUES[:23]), DatasetError, r"auw:1: it has 23 values, not one line of 24 values"),
        (line((*VALUES, 0)), DatasetError, r"auw:1: it has 25 values"),
        ("0.5\n", DatasetError, r"auw:1: it has 1 values"),
        ("", DatasetError, r"auw:1: it has 0 lines"),
        (line(VALUES) * 2, DatasetError, r"auw:1: it has 2 lines"),
        (
            line(VALUES).replace("0.05", "O.05"),
            DatasetError,
            r"auw:1: 'O\.05' as the label of AU4L is no number",
        ),
        (
            line(VALUES).replace("0.05", "1.5"),
            LabelOutOfRangeError,
            r"auw:1: label 1\.5 of AU4L .*\(0 to 1\)",
        ),
        ("<html></html>", DatasetError, r"auw is HTML"),
    ],
)
def test_a_label_file_that_cannot_be_meant_is_refused(
    tmp_path: Path, text: str, error: type[DatasetError], said: str
) -> None:
    _frame(tmp_path / "PV001.output", "00000000", text=text)
    with pytest.raises(error, match=rf"00000000\.{said}"):
        _ = _feafa(tmp_path).index


def test_a_value_that_is_none_stays_unknown(tmp_path: Path) -> None:
    _frame(
        tmp_path / "PV001.output", "00000000", text=line(VALUES).replace("0.05", "nan").replace("0.06", "?")
    )
    labels = _feafa(tmp_path).index.labels[0]
    assert labels[4:6].tolist() == [UNKNOWN, UNKNOWN]
    assert labels[6] == pytest.approx(0.07)


def test_one_frame_labelled_twice_is_refused(tmp_path: Path) -> None:
    for folder in ("PV001.output", "PV001_data"):
        _frame(tmp_path / folder, "00000000")
    with pytest.raises(DatasetError, match="label the same frame"):
        _ = _feafa(tmp_path).index


# Part B ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "shown"), [(0, [1, 2, 3]), (1, [1, 2])])
def test_part_b_shows_the_left_videos_of_disfa(tmp_path: Path, first: int, shown: Sequence[int]) -> None:
    """Counted from 0 or from 1 is not settled; labels beyond the last frame are left out either way."""
    write_part_b(tmp_path / "b", 2, (first, first + 1, first + 2) if first == 0 else (0, 1, 2))
    disfa = _disfa(tmp_path / "disfa", 3)
    module = _feafa(tmp_path / "b", part="b", disfa_root=str(disfa), disfa_first_frame=first)
    greys = [round(float(module.sample(row).image.mean()) / 40) for row in range(len(module.index))]
    assert greys == shown
    assert module.index.people() == ["SN002"]
    assert module.findings.counts() == ({} if first == 0 else {"missing-image": 1})


@pytest.mark.parametrize(("video", "person"), [(2, "SN002"), (5, "SN005"), (10, "SN010"), (26, "SN026")])
def test_annotators_marks_do_not_matter(tmp_path: Path, video: int, person: str) -> None:
    write_part_b(tmp_path / "b", video, (0, 1))
    _disfa(tmp_path / "disfa", 2, video)
    module = _feafa(tmp_path / "b", part="b", disfa_root=str(tmp_path / "disfa"))
    assert _ids(module) == [f"{person}/00000000", f"{person}/00000001"]
    assert module.index.labels[1].tolist() == pytest.approx([0.01] * 24)


def test_labels_beyond_the_video_are_left_out(tmp_path: Path) -> None:
    write_part_b(tmp_path / "b", 2, (0, 1, 2, 3))
    module = _feafa(tmp_path / "b", part="b", disfa_root=str(_disfa(tmp_path / "disfa", 2)))
    assert _ids(module) == ["SN002/00000000", "SN002/00000001"]
    assert module.findings.counts() == {"known-gap": 2}
    strict = _feafa(tmp_path / "b", strict=True, part="b", disfa_root=str(tmp_path / "disfa"))
    assert _ids(strict) == _ids(module)


def test_more_labels_beyond_the_video_than_every_copy_has_are_missing_pictures(tmp_path: Path) -> None:
    write_part_b(tmp_path / "b", 2, range(17))
    module = _feafa(tmp_path / "b", part="b", disfa_root=str(_disfa(tmp_path / "disfa", 2)))
    assert len(module.index) == 2
    assert module.findings.counts() == {"missing-image": 15}


def test_pictures_beside_the_labels_go_before_the_videos(tmp_path: Path) -> None:
    _frame(tmp_path / "2.output", "gong2_2_00000000", grey=200)
    module = _feafa(tmp_path, part="b", disfa_root=str(_disfa(tmp_path / "disfa", 2)))
    assert module.sample(0).image.mean() == pytest.approx(200, abs=3)


def test_both_parts_have_their_own_people(tmp_path: Path) -> None:
    _frame(tmp_path / "a/PV001.output", "00000000")
    write_part_b(tmp_path / "b", 2, (0,))
    module = _feafa(tmp_path, part="both", disfa_root=str(_disfa(tmp_path / "disfa", 2)))
    assert [module.identity(one) for one in module.index.people()] == ["feafa:PV001", "disfa:SN002"]
    assert module.expected() is None


def test_a_root_of_disfa_that_is_none_is_named(tmp_path: Path) -> None:
    write_part_b(tmp_path / "b", 2, (0,))
    with pytest.raises(MissingRootError, match=r"options\.disfa_root"):
        _ = _feafa(tmp_path / "b", part="b", disfa_root=str(tmp_path / "nowhere")).index
    with pytest.raises(DatasetError, match=r"there is no Videos_LeftCamera/LeftVideoSN001_comp\.avi below"):
        _ = _feafa(tmp_path / "b", part="b", disfa_root=str(tmp_path / "b")).index
    with pytest.raises(EmptyDatasetError):
        _ = _feafa(tmp_path / "b", part="b").index


# Who is tested ---------------------------------------------------------------------------------------------


def test_the_first_20_are_tested_and_the_others_train(settings_of: Small) -> None:
    split = dataset("feafa", settings_of("feafa"), protocol="first20").split
    assert split.test == ("PV001", "PV002", "PV020")
    assert len(split.train) + len(split.val) == 6


def test_sequences_of_one_participant_stay_together(tmp_path: Path) -> None:
    for sequence in ("PV001", "PV002", "PV021", "PV022", "PV023"):
        _frame(tmp_path / f"{sequence}.output", "00000000")
    text = "sequence,participant\nPV001,anna\nPV002,bert\nPV021,anna\nPV022,carl\nPV023,dora\n"
    people = save_text(tmp_path / "who.csv", text)
    module = _feafa(tmp_path, participants_file=str(people))
    assert module.index.people() == ["anna", "bert", "carl", "dora"]
    assert module.protocol("first20", module.index.people()).folds == (("anna", "bert"),)
    save_text(people, text.replace("PV023", "PV024"))
    with pytest.raises(
        DatasetError, match="does not say who is seen in PV023: add a line 'PV023,<participant>'"
    ):
        _ = _feafa(tmp_path, participants_file=str(people)).index
    with pytest.raises(DatasetError, match=r"there is no label file .*gone\.csv"):
        _ = _feafa(tmp_path, participants_file=str(tmp_path / "gone.csv")).index


def test_an_amount_counts_as_present_from_half_on(tmp_path: Path) -> None:
    assert _feafa(tmp_path).present_from("AU26") == 0.5


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"part": "c"}, "part 'c'"),
        ({"left_is": "mine"}, "left_is"),
        ({"folds": 1}, "folds must be at least 2"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FEAFAOptions(**wrong)  # type: ignore[arg-type]
