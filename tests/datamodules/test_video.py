"""A frame is the frame that was asked for, in any order, from any container, and in any process."""

from __future__ import annotations

import copy
import multiprocessing
from pathlib import Path

import cv2
import numpy as np
import pytest

from datamodules.errors import BrokenVideoError
from datamodules.video import NEAR, Videos, frame_count, split_place

FRAMES, WIDTH, HEIGHT, BITS = 180, 128, 96, 8
KINDS = (("MJPG", "avi"), ("XVID", "avi"), ("mp4v", "mp4"))


def _picture(number: int) -> np.ndarray:
    """A frame that says its number: one upright stripe for each bit, in blue when it is 0."""
    bits = [(number >> bit) & 1 for bit in range(BITS)]
    colours = np.array([(255, 255, 0) if bit else (0, 0, 255) for bit in bits], np.uint8)
    return np.broadcast_to(np.repeat(colours, WIDTH // BITS, axis=0), (HEIGHT, WIDTH, 3))


def _number(frame: np.ndarray) -> int:
    middle = frame[HEIGHT // 2, WIDTH // BITS // 2 :: WIDTH // BITS]
    return sum(1 << bit for bit, (red, _, _) in enumerate(middle[:BITS]) if red > 127)


def write(path: Path, frames: int = FRAMES, code: str = "MJPG") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 20, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(cv2.cvtColor(np.ascontiguousarray(_picture(number)), cv2.COLOR_RGB2BGR))
    writer.release()
    return path


@pytest.fixture(scope="module", params=KINDS, ids=".".join)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    code, suffix = request.param
    return write(tmp_path_factory.mktemp("video") / f"{code}.{suffix}", code=code)


def test_every_frame_is_itself_in_order(video: Path) -> None:
    videos = Videos()
    frames = [videos.frame(video, number) for number in range(FRAMES)]
    assert [_number(frame) for frame in frames] == list(range(FRAMES))
    assert all(frame.shape == (HEIGHT, WIDTH, 3) and frame.dtype == np.uint8 for frame in frames)
    assert tuple(frames[0][HEIGHT // 2, 4] > 127) == (False, False, True)  # RGB, not BGR
    assert all(frame.flags["C_CONTIGUOUS"] for frame in frames)


def test_every_frame_is_itself_in_any_order(video: Path) -> None:
    videos = Videos()
    numbers = np.random.default_rng(1).permutation(FRAMES).tolist()
    ends = [FRAMES - 1, 0, FRAMES - 1, FRAMES - 1, 1, NEAR + 3, 2, NEAR + 2]
    assert [_number(videos.frame(video, number)) for number in ends + numbers] == ends + numbers


def test_files_without_time_stamps_are_walked_again(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Timeless:
        def __init__(self, *arguments: object) -> None:
            self.capture = cv2.VideoCapture(*arguments)

        def get(self, name: int) -> float:
            return 0.0 if name == cv2.CAP_PROP_POS_MSEC else self.capture.get(name)

        def __getattr__(self, name: str) -> object:
            return getattr(self.capture, name)

    monkeypatch.setattr("datamodules.video.cv2", type("Old", (), {**vars(cv2), "VideoCapture": Timeless}))
    videos = Videos()
    assert [_number(videos.frame(video, number)) for number in (150, 20, 90, 3)] == [150, 20, 90, 3]


def test_a_decoder_that_seeks_to_another_frame_is_not_believed(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some containers land beside the frame that was asked for: the time stamp says where."""

    class Beside:
        def __init__(self, *arguments: object) -> None:
            self.capture = cv2.VideoCapture(*arguments)

        def set(self, name: int, value: float) -> bool:
            return bool(self.capture.set(name, value + 2 if name == cv2.CAP_PROP_POS_FRAMES else value))

        def __getattr__(self, name: str) -> object:
            return getattr(self.capture, name)

    monkeypatch.setattr("datamodules.video.cv2", type("Wrong", (), {**vars(cv2), "VideoCapture": Beside}))
    videos = Videos()
    numbers = [FRAMES - 1, 20, 100, 19, 99, 0]
    assert [_number(videos.frame(video, number)) for number in numbers] == numbers


def test_several_videos_are_kept_apart(tmp_path: Path) -> None:
    first, second = write(tmp_path / "1.avi", 20), write(tmp_path / "2.avi", 90)
    videos = Videos()
    asked = [(first, 3), (second, 88), (first, 19), (second, 2), (first, 0)]
    assert [_number(videos.frame(*one)) for one in asked] == [3, 88, 19, 2, 0]


def test_a_copy_in_another_process_opens_its_own_file(video: Path) -> None:
    videos = Videos()
    assert _number(videos.frame(video, 10)) == 10
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[list[int]] = context.Queue()

    def child() -> None:
        answers.put([_number(videos.frame(video, number)) for number in (100, 11, 50)])

    process = context.Process(target=child)
    process.start()
    here = [_number(videos.frame(video, number)) for number in (11, 12, 170, 13)]
    assert answers.get(timeout=60) == [100, 11, 50]
    process.join()
    assert here == [11, 12, 170, 13]
    assert _number(copy.copy(videos).frame(video, 7)) == 7


def test_the_frames_are_counted(video: Path) -> None:
    assert frame_count(video) == FRAMES


def test_a_truncated_video_says_where_it_ends(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.avi").read_bytes()
    path = tmp_path / "LeftVideoSN001_comp.avi"
    path.write_bytes(whole[: len(whole) // 2])
    there = frame_count(path)
    assert 0 < there < FRAMES - 10
    videos = Videos()
    assert _number(videos.frame(path, there - 1)) == there - 1
    said = (
        rf"video {path} cannot be read at frame {there + 5} \(it ends after {there} frames\): copy the file"
    )
    with pytest.raises(BrokenVideoError, match=said):
        videos.frame(path, there + 5)
    assert _number(videos.frame(path, 1)) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"<!doctype html>\n<title>Sign in</title>", "it is a text"),
        (b"#EXTM3U\n#EXTINF:9,\nfile:///etc/hosts\n", "it is a text"),
        (b"\x00\x01\x02" * 500, "it is no video"),
    ],
)
def test_what_is_no_video_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "video.avi"
    path.write_bytes(content)
    for look in (frame_count, lambda one: Videos().frame(one, 3)):
        with pytest.raises(BrokenVideoError, match=rf"video {path} cannot be read at frame 0 \({said}"):
            look(path)


def test_a_video_of_too_large_pictures_is_refused_before_it_is_decoded(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datamodules.video.MAX_SIDE", WIDTH - 1)
    for look in (frame_count, lambda one: Videos().frame(one, 3)):
        with pytest.raises(BrokenVideoError, match=f"its pictures have more than {WIDTH - 1} pixels a side"):
            look(video)


def test_missing_videos_and_frames_are_named(tmp_path: Path) -> None:
    with pytest.raises(BrokenVideoError, match="there is no such file"):
        Videos().frame(tmp_path / "gone.avi", 0)
    with pytest.raises(BrokenVideoError, match=r"frame -1 .*counted from 0"):
        Videos().frame(write(tmp_path / "short.avi", 3), -1)


@pytest.mark.parametrize(
    ("place", "path", "number"),
    [
        ("a/b.avi#17", "a/b.avi", 17),
        ("a/b.jpg", "a/b.jpg", None),
        ("a#1/b.jpg", "a#1/b.jpg", None),
        ("a#b.avi#0", "a#b.avi", 0),
    ],
)
def test_a_place_names_a_file_and_perhaps_a_frame(place: str, path: str, number: int | None) -> None:
    assert split_place(place) == (path, number)
