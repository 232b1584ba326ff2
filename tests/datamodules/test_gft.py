"""GFT: what no public source says is given by the user, and every odd value is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.action_units import UNKNOWN, Scale
from datamodules.base import AUDataModule
from datamodules.dataset_options.other import GFTOptions
from datamodules.errors import DatasetError
from datamodules.options import DatasetSettings
from tests.data.gft.data import HEADER, PEOPLE, ROWS, write, write_labels, write_video
from tests.datamodules.rows import ids_of, labels_of, messages, opened, row_of


def test_only_the_participants_of_the_list_are_read(tmp_path: Path) -> None:
    module = opened("gft", write(tmp_path))
    assert module.index.people() == list(PEOPLE)
    assert module.index.attributes["group"][row_of(module, "017C/00001")] == "017"


def test_without_a_list_nobody_is_read(tmp_path: Path) -> None:
    settings = write(tmp_path)
    (tmp_path / "participants.txt").unlink()
    with pytest.raises(DatasetError, match=r"dataset 'gft' has no .*participants\.txt"):
        opened("gft", settings)


@pytest.mark.parametrize("name", ["../001A", "/etc"])
def test_a_participant_that_leads_out_of_the_root_is_refused(tmp_path: Path, name: str) -> None:
    settings = write(tmp_path)
    (tmp_path / "participants.txt").write_text(name)
    with pytest.raises(DatasetError, match=r"participants\.txt: the path '.*' leads out of"):
        opened("gft", settings, labels="{participant}/x.csv", pictures="{participant}")


def test_every_value_but_0_and_1_is_missing(tmp_path: Path) -> None:
    module = opened("gft", write(tmp_path))
    assert labels_of(module, "001A/00002") == {"AU1": 1, "AU4": 0, "AU12": UNKNOWN, "AU24": 0}
    assert labels_of(module, "001A/00003") == {"AU1": 1, "AU4": UNKNOWN, "AU12": UNKNOWN, "AU24": UNKNOWN}
    told = messages(module, "unknown-label")[0]
    assert told.startswith("8 labels of ")
    assert told.endswith("are none of [0.0, 1.0], so they are taken as missing")


def test_frames_of_which_nothing_is_known_are_left_out(tmp_path: Path) -> None:
    assert "001A/00005" not in ids_of(opened("gft", write(tmp_path)))


def test_intensities_are_levels(tmp_path: Path) -> None:
    settings = write(tmp_path)
    for person in PEOPLE:
        write_labels(tmp_path, person, [(1, 5, 0, 6, 2.5, 0, ""), (2, 1, 2, 3, 4, 0, "")])
    module = opened("gft", settings, scale="level")
    assert (module.coded_scale(), module.present_from("AU1")) == (Scale.LEVEL, 1)
    assert labels_of(module, "001A/00001") == {"AU1": 5, "AU4": 0, "AU12": UNKNOWN, "AU24": UNKNOWN}


def test_frames_are_numbered_from_one_and_not_padded(tmp_path: Path) -> None:
    module = opened("gft", write(tmp_path))
    of_one = [one for one in ids_of(module) if one.startswith("001A/")]
    assert of_one == ["001A/00001", "001A/00002", "001A/00003", "001A/00004", "001A/00010"]
    assert str(module.index.places[row_of(module, "001A/00010")]) == "001A/10.jpg"


def test_columns_files_and_units_are_options(tmp_path: Path) -> None:
    settings = write(tmp_path)
    for person in PEOPLE:
        (tmp_path / f"au/{person}").mkdir(parents=True)
        (tmp_path / f"au/{person}/occ.csv").write_text("T,x12_occ,x28_occ\n1,1,0\n2,0,1\n")
    options: dict[str, Any] = {"frame_column": "t", "unit_column": "x{number}_occ", "units": [28, 12]}
    module = opened("gft", settings, labels="au/{participant}/occ.csv", **options)
    assert module.asked_aus == ("AU28", "AU12")
    assert labels_of(module, "001A/00002") == {"AU28": 1, "AU12": 0}


@pytest.fixture
def filmed(tmp_path: Path) -> DatasetSettings:
    """The fake with a video of four frames for everybody."""
    settings = write(tmp_path)
    for person in PEOPLE:
        write_video(tmp_path / f"videos/{person}.avi", 4)
    return settings


def _grey(module: AUDataModule, sample_id: str) -> float:
    return float(np.mean(module.sample(row_of(module, sample_id)).image))


def test_frames_may_be_read_from_videos(filmed: DatasetSettings) -> None:
    module = opened("gft", filmed, pictures="videos/{participant}.avi")
    assert ids_of(module)[:4] == ["001A/00001", "001A/00002", "001A/00003", "001A/00004"]
    assert _grey(module, "001A/00001") == pytest.approx(0, abs=3)  # frame 1 is the first of the video
    assert _grey(module, "001A/00004") == pytest.approx(60, abs=3)
    shifted = opened("gft", filmed, pictures="videos/{participant}.avi", first_frame=2)
    assert _grey(shifted, "001A/00004") == pytest.approx(40, abs=3)
    assert "001A/00001" not in ids_of(shifted)


def test_labelled_frames_without_a_picture_are_reported(tmp_path: Path, filmed: DatasetSettings) -> None:
    (tmp_path / "001A/10.jpg").unlink()
    assert opened("gft", filmed).findings.counts()["missing-image"] == 1
    video = opened("gft", filmed, pictures="videos/{participant}.avi")
    assert video.findings.counts()["missing-image"] == len(PEOPLE)  # frame 10 of four
    nowhere = [f"{PEOPLE[0]}/{number}.jpg" for number in (1, 2, 3, 4, 5)]
    for name in nowhere:
        (tmp_path / name).unlink()
    (tmp_path / PEOPLE[0]).rmdir()
    assert PEOPLE[0] not in opened("gft", filmed).index.people()


def test_a_video_that_is_none_loses_its_person_only(filmed: DatasetSettings, tmp_path: Path) -> None:
    (tmp_path / f"videos/{PEOPLE[0]}.avi").write_bytes(b"RIFF\0\0\0\0AVI ")
    module = opened("gft", filmed, pictures="videos/{participant}.avi")
    assert module.index.people() == sorted(PEOPLE)[1:]
    assert module.findings.counts()["broken-video"] == 1
    with pytest.raises(DatasetError, match=rf"video .*{PEOPLE[0]}\.avi cannot be read"):
        opened("gft", filmed, strict=True, pictures="videos/{participant}.avi")


def test_the_users_list_is_a_protocol(tmp_path: Path) -> None:
    settings = write(tmp_path)
    module = opened("gft", settings)
    assert module.protocol("own_folds", PEOPLE).folds == (PEOPLE[:3],)


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        (("Frame", *HEADER[1:4], "AU240", *HEADER[5:]), ROWS, r"001A\.csv:1: there is not one column 'AU24'"),
        (("Frame", *HEADER[1:4], "AU1", *HEADER[5:]), ROWS, r"001A\.csv:1: there is not one column 'AU1'"),
        (("T", *HEADER[1:]), ROWS, r"001A\.csv:1: there is not one column 'frame'"),
        (HEADER, [("one", *ROWS[0][1:])], r"001A\.csv:2: 'one' is no number of a frame"),
        (HEADER, [ROWS[0][:-1]], r"001A\.csv:2: the row has 6 cells and the header 7"),
        (HEADER, [ROWS[0], ROWS[0]], r"001A\.csv:3: sample '001A/00001' .* stands twice"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(
    tmp_path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]], said: str
) -> None:
    settings = write(tmp_path)
    write_labels(tmp_path, "001A", rows, header)
    with pytest.raises(DatasetError, match=said):
        opened("gft", settings)


def test_a_participant_without_a_label_file_is_an_error(tmp_path: Path) -> None:
    settings = write(tmp_path)
    (tmp_path / "annotations/001B.csv").unlink()
    with pytest.raises(DatasetError, match=r"there is no label file .*001B\.csv"):
        opened("gft", settings)


@pytest.mark.parametrize(
    "wrong", [{"labels": "x.csv"}, {"pictures": "x"}, {"unit_column": "AU"}, {"scale": "intensity"}]
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GFTOptions(**wrong)  # type: ignore[arg-type]
