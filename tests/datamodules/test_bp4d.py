"""Where the pictures of BP4D are in each of its packagings, and which of them belongs to which label."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from datamodules.bp4d_files import INTENSITY_AUS
from datamodules.errors import BrokenImageError, DatasetError
from tests.data.bp4d.data import write_avi, write_fera
from tests.data.drawn import plain, save, save_text, save_video
from tests.datamodules.bp4d_roots import bp4d, greys, said, table, write_pictures, write_table


@pytest.mark.parametrize("sequences", ["Sequences(2D+3D)", "Sequences_2D+3D", "sequences(2d+3d)"])
@pytest.mark.parametrize("above", [".", "gaic/BP4D"])
def test_the_disk_is_read_whatever_its_folders_are_called(tmp_path: Path, sequences: str, above: str) -> None:
    write_table(tmp_path / above, table([2, 3]))
    write_pictures(tmp_path / above / sequences / "F001/T1", "0002.jpg", "0003.jpg")
    assert greys(bp4d(tmp_path)) == {"F001/T1/0002": 2, "F001/T1/0003": 3}


def test_names_of_three_and_of_four_digits_are_found(tmp_path: Path) -> None:
    write_table(tmp_path, table([8, 9, 10, 11]))
    write_pictures(tmp_path / "Sequences(2D+3D)/F001/T1", "008.jpg", "0009.jpg", "10.JPG", "011.jpg")
    found = greys(bp4d(tmp_path))
    assert found == {"F001/T1/0008": 8, "F001/T1/0009": 9, "F001/T1/0010": 10, "F001/T1/0011": 11}


def test_two_pictures_of_one_number_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path, table([8]))
    write_pictures(tmp_path / "Sequences(2D+3D)/F001/T1", "008.jpg", "0008.jpg")
    with pytest.raises(DatasetError, match=r"two files of number 8, 0008\.jpg and 008\.jpg"):
        _ = bp4d(tmp_path).index


def test_other_files_beside_the_pictures_do_not_matter(tmp_path: Path) -> None:
    write_table(tmp_path, table([1]))
    folder = tmp_path / "Sequences(2D+3D)/F001/T1"
    write_pictures(folder, "0001.jpg", "0002.jpg")
    for name in ("0001.obj", "0001.mtl", "0003.obj", ".DS_Store", "._0001.jpg"):
        save_text(folder / name, "v 0 0 0")
    assert greys(bp4d(tmp_path)) == {"F001/T1/0001": 1}


def test_the_packaging_of_fera_2015_is_read(tmp_path: Path) -> None:
    write_fera(tmp_path)
    module = bp4d(tmp_path)
    assert [str(place) for place in module.index.places] == [
        f"BP4D-training/F001/T1/000{frame}.jpg" for frame in (1, 2, 3)
    ]
    levels = bp4d(tmp_path, labels="intensity")
    assert levels.coded_aus() == INTENSITY_AUS
    assert [str(one) for one in levels.index.sample_ids] == ["F001/T1/0002", "F001/T1/0003"]


def test_videos_have_their_own_task_numbers_and_count_from_one(tmp_path: Path) -> None:
    for task, number in {1: "01", 2: "03", 3: "07", 4: "08", 5: "09", 6: "10", 7: "11", 8: "13"}.items():
        write_table(tmp_path, table([1, 3]), f"F001_T{task}")
        pictures = [plain(20 * task + frame) for frame in (0, 40, 80)]
        save_video(tmp_path / f"videos/2F01_{number}.avi", pictures)
    module = bp4d(tmp_path)
    shown = {str(one): module.sample(row).image.mean() for row, one in enumerate(module.index.sample_ids)}
    assert len(shown) == 16
    for task in range(1, 9):
        assert shown[f"F001/T{task}/0001"] == pytest.approx(20 * task, abs=3)
        assert shown[f"F001/T{task}/0003"] == pytest.approx(20 * task + 80, abs=3)


def test_a_video_that_ends_early_loses_its_last_rows_only(tmp_path: Path) -> None:
    write_avi(tmp_path, tasks=(1,))
    write_table(tmp_path, table([2, 3, 4, 5]), "F001_T1")
    module = bp4d(tmp_path)
    assert [str(one) for one in module.index.sample_ids] == ["F001/T1/0002", "F001/T1/0003"]
    assert said(module) == [("frame-count", 2), ("missing-image", 2)]
    assert (
        "2F01_01.avi ends with frame 3 and the labels of F001/T1 with 5"
        in next(iter(module.findings)).message
    )


def test_a_frame_more_in_the_labels_than_in_the_video_is_what_decoders_do(tmp_path: Path) -> None:
    write_avi(tmp_path, tasks=(1,))
    write_table(tmp_path, table([2, 3, 4]), "F001_T1")
    assert said(bp4d(tmp_path)) == [("missing-image", 1)]


def test_an_archive_beside_the_unpacked_folder_does_not_matter(tmp_path: Path) -> None:
    write_table(tmp_path, table([1]))
    write_pictures(tmp_path / "Sequences(2D+3D)/F001/T1", "0001.jpg")
    save_text(tmp_path / "Sequences(2D+3D).zip", "PK")
    assert greys(bp4d(tmp_path)) == {"F001/T1/0001": 1}


def test_the_packaging_can_be_chosen(tmp_path: Path) -> None:
    write_table(tmp_path, table([1]))
    write_pictures(tmp_path / "Sequences(2D+3D)/F001/T1", "0001.jpg")
    save_video(tmp_path / "2F01_01.avi", [plain(70)])
    assert greys(bp4d(tmp_path)) == {"F001/T1/0001": 1}
    assert greys(bp4d(tmp_path, pictures="avi")) == {"F001/T1/0001": 7}
    with pytest.raises(DatasetError, match=r"finds no pictures below .* \(packaging 'fera'\)"):
        _ = bp4d(tmp_path, pictures="fera").index


def test_labels_alone_can_be_read_but_show_nothing(tmp_path: Path) -> None:
    write_table(tmp_path, table([1, 2]))
    with pytest.raises(DatasetError, match=r"read labels alone with options\.pictures=none"):
        _ = bp4d(tmp_path).index
    module = bp4d(tmp_path, pictures="none")
    assert len(module.index) == 2
    with pytest.raises(DatasetError, match="was read without its pictures"):
        module.sample(0)


def test_two_copies_below_one_root_are_refused(tmp_path: Path) -> None:
    for copy in ("BP4D", "BP4D+"):
        write_table(tmp_path / copy, table([1]))
    with pytest.raises(DatasetError, match=r"both .* could be meant: set the root"):
        _ = bp4d(tmp_path, pictures="none").index


def test_a_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_table(root, table([1]))
    save(tmp_path / "outside.jpg", plain(1))
    (root / "Sequences(2D+3D)/F001/T1").mkdir(parents=True)
    (root / "Sequences(2D+3D)/F001/T1/0001.jpg").symlink_to(tmp_path / "outside.jpg")
    with pytest.raises(DatasetError, match=r"0001\.jpg' leads out of"):
        bp4d(root).sample(0)


def test_a_page_named_jpg_is_named(tmp_path: Path) -> None:
    write_table(tmp_path, table([1]))
    save_text(tmp_path / "Sequences(2D+3D)/F001/T1/0001.jpg", "<!doctype html><title>404</title>")
    with pytest.raises(BrokenImageError, match=r"0001\.jpg cannot be read"):
        bp4d(tmp_path).sample(0)


# Which picture belongs to which row ------------------------------------------------------------------------


@pytest.mark.parametrize(("offset", "shown"), [(0, {1: 1, 2: 2}), (-1, {1: 0, 2: 1})])
def test_the_frame_offset_moves_the_pictures(tmp_path: Path, offset: int, shown: dict[int, int]) -> None:
    write_table(tmp_path, table([1, 2]))
    write_pictures(tmp_path / "Sequences(2D+3D)/F001/T1", "0000.jpg", "0001.jpg", "0002.jpg")
    found = greys(bp4d(tmp_path, frame_offset=offset))
    assert found == {f"F001/T1/000{frame}": number for frame, number in shown.items()}


def test_a_folder_that_begins_at_0_is_spoken_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_table(tmp_path, table([1]))
    write_pictures(tmp_path / "Sequences(2D+3D)/F001/T1", "0000.jpg", "0001.jpg")
    with caplog.at_level(logging.WARNING):
        _ = bp4d(tmp_path, frame_offset=-1).build_index()
        assert not caplog.records
        _ = bp4d(tmp_path).build_index()
    assert "options.frame_offset=-1" in caplog.text


def test_a_sequence_without_its_label_file_is_reported(tmp_path: Path) -> None:
    write_table(tmp_path, table([1]))
    for task in ("T1", "T2"):
        write_pictures(tmp_path / f"Sequences(2D+3D)/F001/{task}", "0001.jpg")
    module = bp4d(tmp_path)
    assert len(module.index) == 1
    assert module.findings.counts() == {"missing-labels": 1}


def test_labels_say_which_frames_there_are_and_what_lacks_a_picture_is_left_out(tmp_path: Path) -> None:
    write_table(tmp_path, table([2, 3, 4, 5]))
    write_table(tmp_path, table([7, 8]), "F001_T2")
    write_pictures(tmp_path / "Sequences(2D+3D)/F001/T1", "0001.jpg", "0002.jpg", "0005.jpg", "0006.jpg")
    module = bp4d(tmp_path)
    assert greys(module) == {"F001/T1/0002": 2, "F001/T1/0005": 5}
    assert said(module) == [("missing-image", 4)]
    first, second = module.findings
    assert "F001_T1.csv:3: 2 of 4 coded frames of F001/T1 have no picture (frames 3 to 4)" in first.message
    assert "F001_T2.csv:2: 2 of 2 coded frames" in second.message
    with pytest.raises(DatasetError, match=r"F001_T1\.csv:3: 2 of 4 coded frames"):
        _ = bp4d(tmp_path, strict=True).index
