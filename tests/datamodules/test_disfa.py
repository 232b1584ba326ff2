"""What copies of DISFA differ in, and the one line that each mistake in one gets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from datamodules.action_units import DISFA_AUS, UNKNOWN, Scale
from datamodules.dataset_options.core import DISFAOptions
from datamodules.disfa import DISFA
from datamodules.disfa_coding import DETECTION_AUS
from datamodules.errors import DatasetError, LabelOutOfRangeError
from datamodules.options import DatasetSettings
from tests.data.disfa.data import write_landmarks
from tests.data.drawn import plain, save, save_text, save_video
from tests.datamodules.helpers import LOADING

GREY = 40  # frame k of a video, counted from 0, has the grey 40 (k + 1)


def _labels(root: Path, rows: int = 4, person: str = "SN001", **texts: str) -> None:
    """Label files whose levels are 0 to 3, another order in each; ``texts`` replace some (``AU12=...``)."""
    for column, code in enumerate(DISFA_AUS):
        text = "".join(f"{row},{(row + column) % 4}\n" for row in range(1, rows + 1))
        name = f"{person}_{code.lower()}.txt"
        save_text(root / f"ActionUnit_Labels/{person}/{name}", texts.get(code, text))


def _video(path: Path, frames: int = 4) -> None:
    save_video(path, [plain(GREY * (one + 1)) for one in range(frames)])


def _left(root: Path, frames: int = 4, person: str = "SN001") -> Path:
    path = root / f"Videos_LeftCamera/LeftVideo{person}_comp.avi"
    _video(path, frames)
    return path


def _disfa(root: Path, strict: bool = False, **options: object) -> DISFA:
    chosen = DISFAOptions(**options)  # type: ignore[arg-type]
    return DISFA(DatasetSettings(root=root, options=chosen, strict=strict), LOADING)


def _shown(module: DISFA) -> dict[str, int]:
    """Sample id -> number of the frame that is shown, counted from 1."""
    ids = module.index.sample_ids
    greys = [float(module.sample(row).image.mean()) for row in range(len(ids))]
    return {str(one): round(grey / GREY) for one, grey in zip(ids, greys, strict=True)}


def _said(module: DISFA) -> list[tuple[str, int]]:
    _ = module.index
    return list(module.findings.counts().items())


def _ids(numbers: Sequence[int], person: str = "SN001") -> dict[str, int]:
    return {f"{person}/{number:04d}": number for number in numbers}


def test_label_row_k_is_frame_k_minus_1_of_the_video(tmp_path: Path) -> None:
    _labels(tmp_path)
    _left(tmp_path)
    module = _disfa(tmp_path)
    assert _shown(module) == _ids([1, 2, 3, 4])
    assert str(module.index.places[0]).endswith("LeftVideoSN001_comp.avi#0")
    assert _said(module) == []


@pytest.mark.parametrize("folder", ["Video_RightCamera", "Videos_RightCamera", "video_rightcamera"])
@pytest.mark.parametrize("name", ["RightVideoSN001_comp.avi", "RightVideoSN001_Comp.avi"])
def test_the_right_camera_is_found_in_either_spelling(tmp_path: Path, folder: str, name: str) -> None:
    _labels(tmp_path)
    _left(tmp_path, frames=1)
    _video(tmp_path / folder / name)
    assert _shown(_disfa(tmp_path, camera="right")) == _ids([1, 2, 3, 4])


def test_a_camera_that_is_not_there_is_named(tmp_path: Path) -> None:
    _labels(tmp_path)
    _left(tmp_path)
    with pytest.raises(DatasetError, match=r"no pictures in .*Videos_RightCamera: bring the videos, name"):
        _ = _disfa(tmp_path, camera="right").index


@pytest.mark.parametrize(("folder", "named"), [("img", ""), ("a/b/c/frames", "a/b/c/frames")])
def test_extracted_frames_are_counted_from_0(tmp_path: Path, folder: str, named: str) -> None:
    _labels(tmp_path)
    for one in range(4):
        save(tmp_path / folder / f"SN001/{one}.png", plain(GREY * (one + 1)))
    assert _shown(_disfa(tmp_path, frames=named)) == _ids([1, 2, 3, 4])


def test_frames_that_are_counted_from_1_are_not_taken_for_others(tmp_path: Path) -> None:
    """ffmpeg's own numbers: read as decode indices, every label would be one frame off."""
    _labels(tmp_path)
    for one in range(4):
        save(tmp_path / f"img/SN001/{one + 1:05d}.jpg", plain(GREY * (one + 1)))
    with pytest.raises(DatasetError, match=r"counted from 1, .*options\.first_frame=1"):
        _ = _disfa(tmp_path).index
    assert _shown(_disfa(tmp_path, first_frame=1)) == _ids([1, 2, 3, 4])
    save(tmp_path / "img/SN001/00000.jpg", plain(0))
    with pytest.raises(DatasetError, match=r"counted from 0, .*options\.first_frame=0"):
        _ = _disfa(tmp_path, first_frame=1).index


def test_frames_with_holes_lose_their_rows(tmp_path: Path) -> None:
    _labels(tmp_path)
    for one in (1, 3):
        save(tmp_path / f"img/SN001/{one}.png", plain(GREY * (one + 1)))
    module = _disfa(tmp_path)
    assert _shown(module) == _ids([2, 4])
    assert _said(module) == [("missing-image", 2)]


def test_frames_with_holes_that_end_as_the_labels_do_are_doubted(tmp_path: Path) -> None:
    _labels(tmp_path)
    for one in (1, 2, 4):  # 3 may have had no face; nothing is 0: rather counted from 1
        save(tmp_path / f"img/SN001/{one}.png", plain(GREY * one))
    assert _said(_disfa(tmp_path))[0] == ("frame-count", 3)
    with pytest.raises(DatasetError, match=r"img/SN001 end with 4, as the labels do.*first_frame=1"):
        _ = _disfa(tmp_path, strict=True).index
    module = _disfa(tmp_path, first_frame=1)
    assert _shown(module) == _ids([1, 2, 4])
    assert _said(module) == [("missing-image", 1)]


@pytest.mark.parametrize("frames", [3, 5])
def test_a_frame_more_or_less_is_what_decoders_do(tmp_path: Path, frames: int) -> None:
    _labels(tmp_path)
    _left(tmp_path, frames)
    assert _shown(_disfa(tmp_path, strict=True)) == _ids(range(1, min(4, frames) + 1))


@pytest.mark.parametrize(("frames", "rows"), [(2, 2), (6, 4)])
def test_a_frame_count_off_by_more_than_one_is_reported(tmp_path: Path, frames: int, rows: int) -> None:
    _labels(tmp_path)
    _left(tmp_path, frames)
    module = _disfa(tmp_path)
    assert _shown(module) == _ids(range(1, rows + 1))
    assert _said(module) == [("frame-count", 2)]
    with pytest.raises(
        DatasetError, match=rf"has 4 label rows and {frames} pictures in .*LeftVideoSN001_comp\.avi"
    ):
        _ = _disfa(tmp_path, strict=True).index


@pytest.mark.parametrize("content", [b"", b"<!doctype html><title>Log in</title>", b"RIFF\0\0\0\0AVI "])
def test_a_video_that_is_none_loses_its_person_only(tmp_path: Path, content: bytes) -> None:
    for person in ("SN001", "SN002"):
        _labels(tmp_path, person=person)
        _left(tmp_path, person=person)
    (tmp_path / "Videos_LeftCamera/LeftVideoSN002_comp.avi").write_bytes(content)
    module = _disfa(tmp_path)
    assert _shown(module) == _ids([1, 2, 3, 4])
    assert _said(module) == [("broken-video", 1), ("missing-image", 4)]
    with pytest.raises(DatasetError, match=r"video .*LeftVideoSN002_comp\.avi cannot be read"):
        _ = _disfa(tmp_path, strict=True).index


def test_a_person_without_a_video_is_reported(tmp_path: Path) -> None:
    _labels(tmp_path)
    _labels(tmp_path, person="SN010")
    _left(tmp_path)
    module = _disfa(tmp_path)
    assert module.index.people() == ["SN001"]
    assert _said(module) == [("missing-image", 4)]


def test_a_person_without_labels_is_reported(tmp_path: Path) -> None:
    _labels(tmp_path)
    _left(tmp_path)
    _left(tmp_path, person="SN010")
    assert _said(_disfa(tmp_path)) == [("missing-labels", 1)]
    with pytest.raises(DatasetError, match=r"LeftVideoSN010_comp\.avi shows SN010, of which there are no"):
        _ = _disfa(tmp_path, strict=True).index


def test_columns_go_by_the_names_of_the_files(tmp_path: Path) -> None:
    """In a listing au12 stands before au2; whoever numbers the columns by it mixes them up."""
    _labels(tmp_path)
    for path in (tmp_path / "ActionUnit_Labels/SN001").iterdir():
        path.rename(path.with_name(path.name.replace("au", "AU").replace("SN001", "sn001")))
    labels = _disfa(tmp_path, pictures=False).index.labels
    expected = [[(row + column) % 4 for column in range(12)] for row in range(1, 5)]
    assert labels.tolist() == expected


def test_landmarks_are_not_read(tmp_path: Path) -> None:
    _labels(tmp_path)
    _left(tmp_path)
    plain_rows = _disfa(tmp_path).index.fingerprint()
    write_landmarks(tmp_path)  # nested, with a leading file too many
    save_text(tmp_path / "ActionUnit_Labels/SN001/readme.txt", "x")
    assert _disfa(tmp_path).build_index().fingerprint() == plain_rows


def test_a_missing_file_is_not_absence(tmp_path: Path) -> None:
    _labels(tmp_path)
    (tmp_path / "ActionUnit_Labels/SN001/SN001_au5.txt").unlink()
    with pytest.raises(
        DatasetError, match=r"SN001 has no file of AU5 \(SN001_au5\.txt\): a missing file does"
    ):
        _ = _disfa(tmp_path, pictures=False).index
    assert len(_disfa(tmp_path, pictures=False, coding="detection").index) == 4  # AU5 is none of the 8


def test_a_short_file_leaves_its_unit_unknown(tmp_path: Path) -> None:
    _labels(tmp_path, AU4="1,1\n2,2\n")
    module = _disfa(tmp_path, pictures=False)
    assert module.index.labels[:, 2].tolist() == [1, 2, UNKNOWN, UNKNOWN]
    assert _said(module) == [("short-label-file", 2)]


def test_an_unknown_level_is_no_absence_behind_the_threshold(tmp_path: Path) -> None:
    _labels(tmp_path, AU4="1,1\n2,2\n")
    module = _disfa(tmp_path, pictures=False, coding="detection")
    assert module.index.labels[:, 2].tolist() == [0, 1, UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("coding", ["intensity", "detection"])
def test_a_7_is_refused_and_does_not_hide_behind_the_threshold(tmp_path: Path, coding: str) -> None:
    _labels(tmp_path, AU12="1,0\n2,7\n3,0\n4,0\n")
    with pytest.raises(
        LabelOutOfRangeError, match=r"SN001_au12\.txt:2: label 7 of AU12 .*0, 1, 2, 3, 4 or 5"
    ):
        _ = _disfa(tmp_path, pictures=False, coding=coding).index


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0,0\n1,0\n", r"SN001_au9\.txt: frames of DISFA's labels are counted from 1, here from 0"),
        ("1,0\n2,x\n", r"SN001_au9\.txt:2: 'x' as the label of AU9 is no number"),
        ("1;0\n2;0\n", r"SN001_au9\.txt:1: the row has 1 cells, not a frame and an intensity"),
        ("<html></html>", r"SN001_au9\.txt is HTML"),
        ("", r"SN001_au9\.txt holds no row with a label"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, said: str) -> None:
    _labels(tmp_path, AU9=text)
    with pytest.raises(DatasetError, match=said):
        _ = _disfa(tmp_path, pictures=False).index


def test_a_file_of_another_person_is_refused(tmp_path: Path) -> None:
    _labels(tmp_path)
    folder = tmp_path / "ActionUnit_Labels"
    (folder / "SN001/SN001_au1.txt").rename(folder / "SN001/SN002_au1.txt")
    with pytest.raises(DatasetError, match=r"SN002_au1\.txt lies in the folder of SN001"):
        _ = _disfa(tmp_path, pictures=False).index


@pytest.mark.parametrize("threshold", [1, 2, 3])
def test_detection_is_8_units_from_a_threshold_on(tmp_path: Path, threshold: int) -> None:
    _labels(tmp_path)
    levels = _disfa(tmp_path, pictures=False)
    module = _disfa(tmp_path, pictures=False, coding="detection", threshold=threshold)
    assert (module.coded_scale(), module.asked_aus) == (Scale.PRESENCE, DETECTION_AUS)
    columns = [DISFA_AUS.index(code) for code in DETECTION_AUS]
    assert (module.index.labels == (levels.index.labels[:, columns] >= threshold)).all()


def test_the_field_counts_from_2_on(tmp_path: Path) -> None:
    assert _disfa(tmp_path).present_from("AU1") == 2
    assert _disfa(tmp_path, threshold=1).present_from("AU1") == 1
    assert _disfa(tmp_path, coding="detection").present_from("AU1") is None


def test_labels_alone_show_nothing(tmp_path: Path) -> None:
    _labels(tmp_path)
    with pytest.raises(DatasetError, match="was read without its pictures"):
        _disfa(tmp_path, pictures=False).sample(0)


def test_a_root_without_labels_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no ActionUnit_Labels/SN001 below"):
        _ = _disfa(tmp_path, pictures=False).index


@pytest.mark.parametrize("wrong", [{"camera": "both"}, {"threshold": 0}, {"coding": "x"}, {"first_frame": 2}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is not one of"):
        DISFAOptions(**wrong)  # type: ignore[arg-type]
