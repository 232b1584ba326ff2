"""`aullava predict` as a user runs it, on a run of a few steps."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from aullava.cli import main
from aullava.inference.predictor import Predictor
from aullava.inference.table import AFTER, BEFORE, padded
from aullava.prediction_parts import BLOCK, part
from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS
from datamodules.drawn_faces.scene import draw_face
from tests.source_tree import REPOSITORY
from tests.tiny_runs import DEMO, contents, small

FRAMES = 7


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("predict")
    words = [*small(home, 2), "trainer.val_samples=1", "data.eval_batch_size=3"]
    assert main(["fit", DEMO, *words]) == 0
    return home / "runs" / "demo" / "1"


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces") / "of people"
    folder.mkdir()
    for number in range(5):
        Image.fromarray(draw_face(0, 9, number, 96)[0]).save(folder / f"müller {number}.png")
    return folder


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "clip.avi"
    write_video(path, FRAMES)
    return path


def write_video(path: Path, count: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (96, 96))
    faces = [cv2.cvtColor(draw_face(0, 3, number, 96)[0], cv2.COLOR_RGB2BGR) for number in range(20)]
    for number in range(count):
        writer.write(faces[number // 3 % len(faces)])
    writer.release()


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def predict(run: Path, out: Path, *words: str | Path) -> list[dict[str, str]]:
    assert main(["predict", str(run), *map(str, words), "--out", str(out)]) == 0
    return table(out)


def near(ours: Sequence[dict[str, str]], theirs: Sequence[dict[str, str]]) -> None:
    """The same rows, probabilities and amounts up to rounding."""
    for one, other in zip(ours, theirs, strict=True):
        for name in one:
            if name.endswith(("_p", "_r")):
                assert abs(float(one[name]) - float(other[name])) <= 1e-3 * (name[-1] == "r") + 1.1e-5
            else:
                assert one[name] == other[name]


def test_a_folder_becomes_a_table(run: Path, faces: Path, tmp_path: Path) -> None:
    rows = predict(run, tmp_path, faces, "--overlays")
    units = {f"{padded(code)}_{kind}" for code in BP4D_AUS for kind in "pc"}
    units |= {f"{padded(code)}_r" for code in (*DISFA_AUS, *FEAFA_AUS)}
    header = list(rows[0])
    assert (tuple(header[: len(BEFORE)]), tuple(header[-len(AFTER) :])) == (BEFORE, AFTER)
    assert set(header[len(BEFORE) : -len(AFTER)]) == units
    assert header.index("AU01_p") + 1 == header.index("AU01_c") == header.index("AU01_r") - 1
    assert [row["file"] for row in rows] == [str(path) for path in sorted(faces.iterdir())]
    for row in rows:
        assert (row["frame"], row["face_id"], row["success"], row["reason"]) == ("", "0", "1", "")
        assert [float(row[f"box_{side}"]) for side in ("x", "y", "width", "height")] == [0, 0, 96, 96]
        for name in units:
            assert 0 <= float(row[name]) <= {"p": 1, "c": 1, "r": 5}[name[-1]]
        assert row["certified"] in "01"
    drawn = sorted((tmp_path / "overlays").iterdir())
    assert [path.name for path in drawn] == [f"{n + 1:04d}_müller {n}.png" for n in range(5)]
    assert all(np.asarray(Image.open(path)).std() > 10 for path in drawn)


def test_without_a_place_the_answers_are_printed(
    run: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = faces / "müller 1.png"
    capsys.readouterr()
    assert main(["predict", str(run), str(picture), "--formats", "presence"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == str(picture)
    assert printed[1].startswith("  presence   AU1: ")
    assert len(printed) == 2


def test_formats_and_units_that_are_wanted(run: Path, faces: Path, tmp_path: Path) -> None:
    picture = faces / "müller 0.png"
    level = predict(run, tmp_path / "a", picture, "--formats", "level")
    assert set(level[0]) == {*BEFORE, *AFTER, *(f"{padded(code)}_r" for code in DISFA_AUS)}
    few = predict(run, tmp_path / "b", picture, "--aus", "12,AU43L")
    assert list(few[0]) == [*BEFORE, "AU12_p", "AU12_c", "AU12_r", "AU43L_r", *AFTER]
    whole = predict(run, tmp_path / "c", picture)
    few = [{name: value for name, value in row.items() if name != "contradiction"} for row in few]
    near(few, [{name: row[name] for name in few[0]} for row in whole])


def test_a_picture_alone_or_among_others_or_in_another_order(run: Path, faces: Path, tmp_path: Path) -> None:
    together = predict(run, tmp_path / "all", faces)
    files = [row["file"] for row in together]
    backwards = predict(run, tmp_path / "back", *files[::-1], "--batch-size", "2")
    near(backwards[::-1], together)
    alone = [predict(run, tmp_path / str(n), file)[0] for n, file in enumerate(files[:2])]
    near(alone, together[:2])


def test_a_video_gives_a_row_a_frame(run: Path, video: Path, tmp_path: Path) -> None:
    rows = predict(run, tmp_path, video, "--overlays", "--openface", "--parquet")
    assert [row["frame"] for row in rows] == [str(number) for number in range(FRAMES)]
    np.testing.assert_allclose([float(row["timestamp"]) for row in rows], np.arange(FRAMES) / 20, atol=2e-3)
    found = pq.read_table(tmp_path / "predictions.parquet").to_pylist()
    assert [row["frame"] for row in found] == list(range(FRAMES))
    assert found[3]["AU01_p"] == float(rows[3]["AU01_p"])
    lines = (tmp_path / "openface" / "clip.csv").read_text().splitlines()
    header = lines[0].split(", ")
    assert header[:5] == ["frame", "face_id", "timestamp", "confidence", "success"]
    assert header[5:7] == ["AU01_r", "AU02_r"]
    assert header.index("AU26_r") + 1 == header.index("AU01_c")
    assert [line.split(", ")[0] for line in lines[1:]] == [str(number + 1) for number in range(FRAMES)]
    (drawn,) = (tmp_path / "overlays").iterdir()
    capture = cv2.VideoCapture(str(drawn))
    frames = 0
    while capture.read()[0]:
        frames += 1
    assert (drawn.name, frames) == ("0001_clip.mp4", FRAMES)


def test_frames_are_answered_as_pictures(run: Path, video: Path, tmp_path: Path) -> None:
    """The draft of the frame before changes nothing."""
    rows = predict(run, tmp_path / "video", video)
    capture, folder = cv2.VideoCapture(str(video)), tmp_path / "frames"
    folder.mkdir()
    for number in range(FRAMES):
        cv2.imwrite(str(folder / f"{number}.png"), capture.read()[1])
    names = ("file", "frame", "timestamp")
    pictures = predict(run, tmp_path / "pictures", folder)
    near(
        [{name: row[name] for name in row if name not in names} for row in pictures],
        [{name: row[name] for name in row if name not in names} for row in rows],
    )


def test_the_file_before_is_the_draft(run: Path) -> None:
    """Frames that do not change are read once each."""
    predictor = Predictor.from_run(run, device="cpu")
    from aullava.inference.pictures import Picture

    image = draw_face(0, 3, 1, 96)[0]
    still = [Picture("clip.avi", lambda: image, frame=number) for number in range(6)]
    assert len(list(predictor.predict(still))) == 6
    counts = predictor.decoder.counts
    # Only the first frame's answers, one for each of three questions, may need more than one pass.
    first = Predictor.from_run(run, device="cpu")
    list(first.predict(still[:1]))
    assert counts.passes == first.decoder.counts.passes + 5 * 3


def test_thresholds_of_the_run_decide(run: Path, faces: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    (copy / "calibration.json").unlink()
    before = predict(copy, tmp_path / "a", faces, "--formats", "presence")
    rest = {"unsure_low": 0.5, "unsure_high": 0.5, "positives": 1, "labels": 2}
    units = {
        "AU1": {"temperature": 2.0, "threshold": 0.0, **rest},
        "AU2": {"temperature": 1.0, "threshold": 1.0, **rest},
    }
    (copy / "calibration.json").write_text(json.dumps({"synthetic_bp4d": units}))
    after = predict(copy, tmp_path / "b", faces, "--formats", "presence")
    assert {row["AU01_c"] for row in after} == {"1"}
    assert {row["AU02_c"] for row in after} == {"0"}
    for one, other in zip(before, after, strict=True):
        raw, scaled = float(one["AU01_p"]), float(other["AU01_p"])
        assert abs(scaled - 0.5) < abs(raw - 0.5)
        assert one["AU02_p"] == other["AU02_p"]
    (copy / "calibration.json").write_text("{")
    assert main(["predict", str(copy), str(faces)]) == 2


# ---- going on


def test_a_table_that_was_cut_off_is_gone_on_with(
    run: Path, faces: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(run), str(faces), str(video), "--out", str(tmp_path), "--overlays"]
    assert main(words) == 0
    path = tmp_path / "predictions.csv"
    whole, drawn = path.read_bytes(), contents(tmp_path / "overlays")
    assert main(words) == 2  # nothing is written over
    assert "is there already" in capsys.readouterr().err
    lines = whole.splitlines(keepends=True)
    for kept in (0, 1, 4, 8):
        path.write_bytes(b"".join(lines[: kept + 1]) + lines[kept + 1][:9])
        for number, card in enumerate(sorted((tmp_path / "overlays").iterdir())):
            if number >= kept:  # the video is drawn when the table is whole
                card.unlink()
        assert main([*words, "--resume"]) == 0
        assert contents(tmp_path / "overlays").keys() == drawn.keys()
        near(table(tmp_path), list(csv.DictReader(whole.decode().splitlines())))
        assert path.read_bytes().startswith(b"".join(lines[: kept + 1]))
    capsys.readouterr()
    assert main(["predict", str(run), str(video), "--out", str(tmp_path), "--resume"]) == 2
    assert "row 1 of the table is about" in capsys.readouterr().err
    assert main([*words, "--resume", "--formats", "level"]) == 2
    assert "other columns" in capsys.readouterr().err


def test_two_processes_write_the_table_of_one(
    run: Path, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started as a user does; the second time after a kill that left one part and a bit of the other."""
    video = tmp_path / "clip.avi"
    write_video(video, 36)
    words = ["predict", str(run), str(faces), str(video), "--formats", "presence", "--overlays"]
    alone, out = tmp_path / "alone", tmp_path / "two"
    assert main([*words, "--out", str(alone)]) == 0
    words += ["--out", str(out), "--device", "cpu"]
    two = [sys.executable, "-m", "aullava", *words, "--devices", "2"]
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    ran = subprocess.run(two, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("passes an answer") == 1
    near(table(out), table(alone))
    assert sorted(path.name for path in out.rglob("*")) == sorted(path.name for path in alone.rglob("*"))

    lines = (out / "predictions.csv").read_bytes().splitlines(keepends=True)
    (out / "predictions.csv").unlink()
    first, second = (part(out / "predictions.csv", rank, 2) for rank in (0, 1))
    first.write_bytes(b"".join(lines[: BLOCK + 1]))
    second.write_bytes(lines[0] + lines[BLOCK + 1] + lines[BLOCK + 2][:5])
    assert main([*words, "--resume"]) == 2  # one process alone
    ran = subprocess.run(
        [*two, "--resume"], cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    near(table(out), table(alone))
    ran = subprocess.run(two, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert (ran.returncode, ran.stderr.count("is there already")) == (2, 1)


# ---- what cannot be read


def test_a_picture_that_cannot_be_read_gets_a_row(run: Path, faces: Path, tmp_path: Path) -> None:
    broken, text = tmp_path / "cut.png", tmp_path / "text.jpg"
    whole = (faces / "müller 0.png").read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    text.write_text("no picture")
    rows = predict(run, tmp_path / "out", broken, faces / "müller 1.png", text)
    assert [row["success"] for row in rows] == ["0", "1", "0"]
    assert str(broken) in rows[0]["reason"]
    assert {rows[0][name] for name in rows[0] if name[-2:] in ("_p", "_c", "_r")} == {""}
    assert rows[0]["certified"] == ""
    near(rows[1:2], predict(run, tmp_path / "alone", faces / "müller 1.png"))


@pytest.mark.parametrize("content", [b"", b"RIFF\x00\x01\x02\x03AVI LIST\x00\x00"])
def test_a_video_of_nothing(
    content: bytes, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nothing.avi"
    path.write_bytes(content)
    assert main(["predict", str(run), str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert f"no picture has an answer: video {path} cannot be read at frame 0" in said
    assert "Traceback" not in said
    (row,) = table(tmp_path / "out")
    assert (row["file"], row["success"]) == (str(path), "0")
    assert "cannot be read" in row["reason"]


def test_a_video_that_was_cut_off(
    run: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.avi"
    whole = video.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    rows = predict(run, tmp_path / "out", path)
    assert 0 < len(rows) < FRAMES
    assert {row["success"] for row in rows} == {"1"}
    assert f"it ends after {len(rows)} of the {FRAMES} frames" in capsys.readouterr().err


def test_a_picture_without_a_face(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    words = ["predict", str(run), str(tmp_path / "noise.png"), "--detector", "yunet"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "no picture has an answer: no face found" in capsys.readouterr().err
    (row,) = table(tmp_path / "out")
    assert (row["success"], row["face_id"], row["reason"]) == ("0", "", "no face found")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{empty}"], "the folder {empty} holds no picture and no video: give others"),
        (["{empty}/*.png"], "no file fits '{empty}/*.png': give others"),
        (["{faces}", "--aus", "AU39"], "the run never learnt AU39 in these formats: ask for "),
        (["{faces}", "--devices", "2", "--device", "cuda:1"], "--device cuda:1 is one device: "),
        (["{faces}", "--detector", "yolo"], "there is no face detector 'yolo': did you mean 'whole'?"),
    ],
)
def test_what_cannot_be_done_is_refused(
    words: list[str],
    said: str,
    run: Path,
    faces: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"empty": tmp_path / "empty", "faces": faces}
    given = [word.format(**places) for word in words]
    capsys.readouterr()
    assert main(["predict", str(run), *given, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(f"aullava: {said.format(**places)}")
    assert not (tmp_path / "out" / "predictions.csv").exists()


# ---- raw frames and prepared crops


def test_a_raw_frame_is_answered_as_its_prepared_crop(tmp_path: Path) -> None:
    """Detector, margin, size and the loss of the store's JPEGs are those recorded in the run."""
    name, store = "synthetic_bp4d", tmp_path / "store"
    root = tmp_path / "faces"  # where `small` puts the drawn faces
    root.mkdir()
    words = [*small(tmp_path, 1, [name]), "data=synthetic_bp4d", "trainer.val_samples=1"]
    options = [word.split(f"{name}.")[1] for word in words if f"{name}.options" in word]
    sizes = ["options.size=160"]
    made = ["prepare", name, "--root", str(root), "--out", str(store), "--size", "96", "--margin", "0.1"]
    assert main([*made, *options, *sizes]) == 0
    words += [f"data.datasets.{name}.{one}" for one in (*sizes, f"prepared={store}")]
    assert main(["fit", DEMO, *words]) == 0
    run = tmp_path / "runs" / "demo" / "1"
    crops = predict(run, tmp_path / "crops", store)
    raw = tmp_path / "raw"
    raw.mkdir()
    (drawn,) = root.glob("faces-160px-*.npy")
    pictures = np.load(drawn, mmap_mode="r")
    wanted = [row for row in crops if row["success"] == "1"][:6]
    from datamodules.store import FaceStore

    opened = FaceStore.open(store)
    for number, row in enumerate(wanted):
        frame = pictures[int(opened.meta(row["file"]).place)]
        Image.fromarray(np.asarray(frame)).save(raw / f"{number}.png")
    found = predict(run, tmp_path / "found", raw)
    same = ("file", "box_x", "box_y", "box_width", "box_height", "confidence")
    near(
        [{name: row[name] for name in row if name not in same} for row in found],
        [{name: row[name] for name in row if name not in same} for row in wanted],
    )
    meta = opened.meta(wanted[0]["file"])
    box = [float(found[0][f"box_{side}"]) for side in ("x", "y", "width", "height")]
    np.testing.assert_allclose(box, meta.box, atol=0.06)
