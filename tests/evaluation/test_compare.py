"""Files of different programs are scored on the same frames by the same rule, or refused in one line."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, mean_absolute_error

from aullava.cli import main
from aullava.evaluation.answer_files import read_predictions
from aullava.evaluation.compare import Rule, compare
from aullava.evaluation.errors import ComparisonError
from aullava.evaluation.label_files import read_labels
from datamodules.action_units import Scale

PEOPLE, FRAMES = 5, 8
TRUTH = np.random.default_rng(0).integers(0, 6, (PEOPLE * FRAMES, 3)).astype(float)  # AU1, AU2, AU12
NOISE = np.random.default_rng(1).normal(0, 1.5, (4, *TRUTH.shape))
AMOUNT = np.clip(TRUTH + NOISE, 0, 5).round(2)
FIRST = f"0.9,{AMOUNT[3, 0, 0] / 5:.3f}"
"""Of the first row of py-feat's table."""


def _write(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def _names() -> list[tuple[int, int]]:
    return [(person, frame) for person in range(PEOPLE) for frame in range(FRAMES)]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    rows = [
        f"S{p},{p}/{f}.png,v{p},{f + 1},{','.join(f'{v:g}' for v in TRUTH[at])}"
        for at, (p, f) in enumerate(_names())
    ]
    return _write(tmp_path / "labels.csv", "subject,file,video,frame,AU1,AU2,AU12", rows)


@pytest.fixture
def by_video(labels: Path, tmp_path: Path) -> Path:
    rows = [",".join(cells[:1] + cells[2:]) for cells in csv.reader(labels.open())]
    return _write(tmp_path / "by_video.csv", rows[0], rows[1:])


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    rows = [
        f"{p}/{f}.png,level,{code},{round(AMOUNT[0, at, column])},0.9"
        for at, (p, f) in enumerate(_names())
        for column, code in enumerate(("AU1", "AU2", "AU12"))
    ]
    return _write(tmp_path / "answers.csv", "file,format,au,value,probability", rows)


@pytest.fixture
def openface(tmp_path: Path) -> Path:
    """As it is written: blanks behind the commas, frames from 1; `_c` contradicts `_r`."""
    rows = [
        f"{f + 1}, 0, 0.98, 1, {AMOUNT[1, at, 0]}, {AMOUNT[1, at, 2]}, 0, 0, v{p}, {p}/{f}.png"
        for at, (p, f) in enumerate(_names())
    ]
    header = "frame, face_id, confidence, success, AU01_r, AU12_r, AU01_c, AU45_c, video, file"
    return _write(tmp_path / "openface.csv", header, rows)


@pytest.fixture
def libreface(tmp_path: Path) -> Path:
    rows = [
        f"{at},{f},{f * 40},{p}/{f}.png,v{p},0,{AMOUNT[2, at, 0]},{AMOUNT[2, at, 1]},{AMOUNT[2, at, 2]}"
        for at, (p, f) in enumerate(_names())
    ]
    header = (
        ",frame_idx,frame_time_in_ms,path_to_frame,video,au_1,au_1_intensity,au_2_intensity,au_12_intensity"
    )
    return _write(tmp_path / "libreface.csv", header, rows)


@pytest.fixture
def py_feat(tmp_path: Path) -> Path:
    rows = [
        f"v{p},{f},0.9,{','.join(f'{v / 5:.3f}' for v in AMOUNT[3, at])}"
        for at, (p, f) in enumerate(_names())
    ]
    return _write(tmp_path / "py_feat.csv", "input,frame,FaceScore,AU01,AU02,AU12", rows)


def _swap(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


def _refusal(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main(["compare", *map(str, words)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_levels_of_three_programs_are_scored_by_one_rule(
    labels: Path, ours: Path, openface: Path, libreface: Path
) -> None:
    found = compare([ours, openface, libreface], read_labels(labels), Rule(draws=50))
    assert found.averaged == ("AU1", "AU12")  # OpenFace gives no AU2 here
    assert (found.frames, found.people) == (40, 5)
    said = {str(ours): AMOUNT[0].round(), str(openface): AMOUNT[1], str(libreface): AMOUNT[2]}
    for file, values in said.items():
        for column, code in enumerate(found.aus):
            f1, mae = (found.scores[metric][file].per_au[code] for metric in ("f1", "mae"))
            if (file, code) == (str(openface), "AU2"):
                assert math.isnan(f1)
                assert math.isnan(mae)
                continue
            truth = TRUTH[:, column]
            assert f1 == pytest.approx(f1_score(truth >= 2, values[:, column] >= 2), abs=1e-12)
            assert mae == pytest.approx(mean_absolute_error(truth, values[:, column]), abs=1e-12)
        score = found.scores["f1"][file]
        assert score.average == pytest.approx((score.per_au["AU1"] + score.per_au["AU12"]) / 2)
        assert score.interval.low <= score.average <= score.interval.high
    first = found.scores["f1"][str(ours)]
    assert (first.difference, first.difference_interval.low, first.difference_interval.high) == (0, 0, 0)


def test_videos_are_matched_whatever_number_their_first_frame_has(
    by_video: Path, openface: Path, libreface: Path, py_feat: Path
) -> None:
    found = compare([openface, libreface, py_feat], read_labels(by_video), Rule(draws=20))
    for number, file in ((1, openface), (2, libreface)):
        expected = f1_score(TRUTH[:, 0] >= 2, AMOUNT[number, :, 0] >= 2)
        assert found.scores["f1"][str(file)].per_au["AU1"] == pytest.approx(expected, abs=1e-12)
    expected = f1_score(TRUTH[:, 0] >= 2, AMOUNT[3, :, 0] >= 2.5)  # a probability of one half
    assert found.scores["f1"][str(py_feat)].per_au["AU1"] == pytest.approx(expected, abs=1e-12)
    assert str(py_feat) not in found.scores["mae"]  # probabilities are no levels


def test_a_cell_that_one_program_does_not_know_is_left_out_for_all(
    labels: Path, ours: Path, openface: Path
) -> None:
    _swap(openface, "1, 0, 0.98, 1,", "1, 0, 0.10, 0,")  # success 0 in the first frame
    found = compare([ours, openface], read_labels(labels), Rule(draws=20))
    assert found.support == {"AU1": 39, "AU2": 40, "AU12": 39}
    expected = f1_score(TRUTH[1:, 0] >= 2, AMOUNT[0, 1:, 0].round() >= 2)
    assert found.scores["f1"][str(ours)].per_au["AU1"] == pytest.approx(expected, abs=1e-12)
    assert found.unknown[str(openface)] == pytest.approx(1 / 40)
    assert found.unknown[str(ours)] == 0


def test_presence_labels_take_what_a_program_decides(tmp_path: Path, ours: Path, openface: Path) -> None:
    rows = [f"S{p},{p}/{f}.png,{int(TRUTH[at, 0] >= 2)}" for at, (p, f) in enumerate(_names())]
    truth = read_labels(_write(tmp_path / "l.csv", "subject,file,AU1", rows))
    assert truth.scale is Scale.PRESENCE
    found = compare([ours, openface], truth, Rule(draws=20))
    assert set(found.scores) == {"f1"}
    assert found.scores["f1"][str(openface)].per_au["AU1"] == 0  # its AU01_c is 0 everywhere
    assert found.scores["f1"][str(ours)].per_au["AU1"] == pytest.approx(
        f1_score(TRUTH[:, 0] >= 2, AMOUNT[0, :, 0].round() >= 2)
    )


def test_intensities_have_no_f1(tmp_path: Path) -> None:
    share = TRUTH[:, 0] / 5
    rows = [f"S{p},{p}/{f}.png,{share[at]}" for at, (p, f) in enumerate(_names())]
    truth = read_labels(_write(tmp_path / "l.csv", "subject,file,AU1", rows))
    files = []
    for number in (0, 1):
        rows = [
            f"{p}/{f}.png,intensity,AU1,{AMOUNT[number, at, 0] / 5}" for at, (p, f) in enumerate(_names())
        ]
        files.append(_write(tmp_path / f"{number}.csv", "file,format,au,value", rows))
    found = compare(files, truth, Rule(draws=20))
    assert set(found.scores) == {"mae", "pcc", "icc"}
    assert found.scores["mae"][str(files[0])].average == pytest.approx(
        mean_absolute_error(share, AMOUNT[0, :, 0] / 5)
    )


def test_labels_of_one_video_need_no_name_of_it(tmp_path: Path) -> None:
    labels = _write(tmp_path / "l.csv", "subject,frame,AU1", ["a,0,1", "a,1,0", "b,2,1"])
    one = _write(tmp_path / "o.csv", "frame,success,AU01_c", ["1,1,1", "2,1,0", "3,1,0"])
    found = read_predictions(one, "frame", 0)
    assert found.values["presence"]["AU1"] == {"0": 1, "1": 0, "2": 0}
    two = _write(tmp_path / "f.csv", "frame,AU01", ["0.0,0.9", "1.0,", "2.0,0.7"])
    scores = compare([one, two], read_labels(labels), Rule(first_frame=0, draws=20)).scores["f1"]
    assert scores[str(one)].per_au["AU1"] == pytest.approx(2 / 3)
    assert scores[str(two)].per_au["AU1"] == 1


def test_the_command_prints_and_writes_but_never_over(
    labels: Path, ours: Path, openface: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", str(ours), str(openface), "--labels", str(labels), "--draws", "50"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "40 frames of 5 people" in said
    assert "level >= 2" in said
    assert "answers.csv" in said
    with (tmp_path / "out" / "compare.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["metric"] for row in rows} == {"f1", "mae", "pcc", "icc"}
    kept = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert kept[f"{openface}/f1/AU2"] is None
    assert "| F1 x 100 |" in (tmp_path / "out" / "compare.md").read_text()
    assert main([*words, "--out", str(tmp_path / "again")]) == 0
    capsys.readouterr()
    for name in ("compare.csv", "compare.json", "compare.md"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    assert "is there already" in _refusal(capsys, *words[1:], "--out", tmp_path / "out")


def test_frames_that_a_file_lacks_are_refused_or_left_out_for_all(
    labels: Path, ours: Path, openface: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    openface.write_text("\n".join(openface.read_text().splitlines()[:-1]) + "\n")
    said = _refusal(capsys, ours, openface, "--labels", labels)
    assert f"{openface} lacks 1 of 40 rows of {labels}, the first is '4/7.png' in line 41" in said
    assert main(["compare", str(ours), str(openface), "--labels", str(labels), "--common"]) == 0
    assert f"{openface}: lacks 1 labelled frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("which", "old", "new", "said"),
    [
        ("labels", "S0,0/0.png", "S0,0/1.png", "labels.csv:3: file '0/1.png' stands in line 2 already"),
        (
            "labels",
            "S0,0/0.png",
            "S0 ,0/0.png",
            "labels.csv:2: 'S0 ' in column 'subject' is empty or has stray",
        ),
        ("labels", "AU12", "AU_12", "labels.csv:1: column 'AU_12' is no Action Unit's code"),
        ("labels", "AU12", "AU2", "labels.csv:1: column 'AU2' stands twice"),
        ("labels", "subject", "person", "labels.csv:1: there is no column subject"),
        (
            "labels",
            ",v0,1,",
            ",v0,1,9,",
            "labels.csv:2: the row has 8 cells and the header 7 (a decimal comma",
        ),
        ("labels", "AU1,AU2,AU12", "AU4,AU5,AU6", "has no value that can be scored against the Action Units"),
        ("labels", "subject,file", "subject;file", "labels.csv:2: the row has"),
        (
            "answers",
            "0/0.png,level,AU2",
            "0/0.png,level,AU1",
            "answers.csv:3: file '0/0.png' has level of AU1 twice",
        ),
        ("answers", "level,AU1,", 'level,AU1,"1,5",', "answers.csv:2: the row has 6 cells"),
        ("answers", "0.png,level", "0.png,levels", "answers.csv:2: there is no format 'levels'"),
        ("openface", "1, 0, 0.98, 1, ", "1, 0, 0.98, 1, x", "is no number: correct it"),
        ("openface", "0/0.png", "0/1.png", "'0/1.png' stands in line 2 already: keep one face of each"),
        ("openface", "AU01_r, AU12_r, AU01_c, AU45_c", "a, b, c, d", "openface.csv:1: no column is known"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(
    labels: Path,
    ours: Path,
    openface: Path,
    capsys: pytest.CaptureFixture[str],
    which: str,
    old: str,
    new: str,
    said: str,
) -> None:
    _swap({"labels": labels, "answers": ours, "openface": openface}[which], old, new)
    assert said in _refusal(capsys, ours, openface, "--labels", labels)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            FIRST,
            '0.9,"0,5"',
            "py_feat.csv:2: '0,5' in column 'AU01' has a decimal comma: write a point",
        ),
        (
            FIRST,
            "0.9,0,5",
            "py_feat.csv:2: the row has 7 cells and the header 6 (a decimal comma splits",
        ),
        (
            FIRST,
            "0.9, 0.5",
            "py_feat.csv:2: ' 0.5' in column 'AU01' has stray blanks: take them out",
        ),
        (",AU02,", ", AU02,", "py_feat.csv:1: column ' AU02' has stray blanks: take them out"),
        ("v0,1,", "v0,0,", "py_feat.csv:3: video 'v0:1' stands in line 2 already: keep one face of each"),
    ],
)
def test_bad_cells_of_another_program_are_refused_on_the_command_line(
    by_video: Path,
    libreface: Path,
    py_feat: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    old: str,
    new: str,
    said: str,
) -> None:
    _swap(py_feat, old, new)
    out = tmp_path / "out"
    assert said in _refusal(capsys, libreface, py_feat, "--labels", by_video, "--out", out)
    assert not out.exists()


def test_decimal_commas_and_blanks_in_numbers_are_named(tmp_path: Path) -> None:
    for cell, said in (
        ('"0,5"', "has a decimal comma"),
        (" 0.5", "has stray blanks"),
        ("inf", "is infinite"),
    ):
        path = _write(tmp_path / "p.csv", "input,frame,AU01", [f"a.png,0,{cell}"])
        with pytest.raises(ComparisonError, match=rf"p\.csv:2: '.*' in column 'AU01' {said}"):
            read_predictions(path, "file", 1)
    path = _write(tmp_path / "p.csv", "input;AU01", ["a.png;0.5"])
    with pytest.raises(ComparisonError, match="semicolons"):
        read_predictions(path, "file", 1)
    with pytest.raises(ComparisonError, match="no row below a header"):
        read_predictions(_write(tmp_path / "p.csv", "input,AU01", []), "file", 1)


def test_files_that_do_not_pair_up_are_refused(
    labels: Path, ours: Path, openface: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.csv"
    other.write_text(ours.read_text().replace(".png", ".jpg"))
    assert "has none of the files of" in _refusal(capsys, ours, other, "--labels", labels)
    assert "is given twice" in _refusal(capsys, ours, ours, "--labels", labels)
    assert "give two files" in _refusal(capsys, ours, "--labels", labels)
    assert "there is no file" in _refusal(capsys, ours, tmp_path / "no.csv", "--labels", labels)
    assert "there is no column 'AU5'" in _refusal(capsys, ours, openface, "--labels", labels, "--aus", "AU5")
    refused = _refusal(capsys, ours, openface, "--labels", labels, "--scale", "presence")
    assert "is outside the scale 'presence'" in refused
