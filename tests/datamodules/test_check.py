"""`check_dataset` says what is there, what differs from the published counts, and what is broken."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from datamodules import check as check_module
from datamodules.action_units import UNKNOWN, Scale
from datamodules.base import AUDataModule
from datamodules.check import Checked, check_dataset
from datamodules.check_counts import compare, count_labels
from datamodules.check_report import as_html, summary, verdict, write_report
from datamodules.errors import DatasetError
from datamodules.expected_counts import Count, Expected, Weights, class_weights, expected_counts
from datamodules.folder import Folder
from datamodules.index import Index, IndexRows
from datamodules.options import DatasetSettings, LoaderSettings
from datamodules.protocols import Protocol
from tests.data.folder.data import HEADER, write, write_table

CODES = ("AU1", "AU12")
EXPECTED = Expected(
    source="a list",
    total=Count(6, (3, 1)),
    aus=CODES,
    threshold=2,
    people=2,
    editions={"another edition": 5},
    subjects={"A": Count(4, (2, 1)), "B": Count(2, (1, 0))},
    parts={"part1": Count(4, (2, 1)), "part2": Count(2, (1, 0))},
    part_subjects={"part1": ("A",), "part2": ("B",)},
    weights={"fold 2": Weights(("part1",), (0.666667, 1.333333))},
    sequences={"A/T1": (1, 4, 4), "B/T1": (7, 8, 2)},
)
LEVELS: dict[str, list[list[float]]] = {
    "A": [[2, 0], [5, 3], [1, 1], [0, UNKNOWN]],
    "B": [[3, 0], [UNKNOWN, 1]],
}


def _index(levels: dict[str, list[list[float]]]) -> Index:
    rows = IndexRows()
    for person, values in levels.items():
        names = [f"{person}/T1/{number}" for number in range(len(values))]
        rows.extend(
            names, person, names, np.array(values), [f"{person}.txt:{n + 1}" for n in range(len(values))]
        )
    return rows.index(len(CODES))


class Small(AUDataModule):
    """Levels of two people, with published counts."""

    name = "small"
    aus = CODES
    scale = Scale.LEVEL
    protocols = ("people",)
    licence = "none"
    layout = "nothing"
    needs_root = False
    threshold = 2.0
    levels = LEVELS

    def build_index(self) -> Index:
        return _index(self.levels)

    def load_image(self, place: str) -> npt.NDArray[np.uint8]:
        del place
        return np.zeros((6, 8, 3), np.uint8)

    def protocol(self, name: str, subjects: Sequence[str]) -> Protocol:
        del subjects
        return Protocol(name, 1, ())

    def expected(self) -> Expected | None:
        return EXPECTED


def _small(levels: dict[str, list[list[float]]] = LEVELS, strict: bool = False) -> Small:
    module = Small(DatasetSettings(strict=strict), LoaderSettings())
    module.levels = levels
    return module


def _folder(root: Path, strict: bool = False) -> Folder:
    return Folder(replace(write(root), strict=strict), LoaderSettings())


def _rewritten(root: Path, column: str, values: dict[int, str]) -> None:
    """Other cells in a column of the table, by the number of the row."""
    with (root / "labels.csv").open(newline="") as file:
        rows = [list(row) for row in csv.reader(file)][1:]
    for row, value in values.items():
        rows[row][HEADER.index(column)] = value
    write_table(root, [tuple(row) for row in rows])


def test_labels_are_added_up() -> None:
    counts = count_labels(_index(LEVELS), CODES, Scale.LEVEL, lambda _: 2.0)
    assert (counts.frames, counts.subjects) == (6, {"A": 4, "B": 2})
    assert counts.known.tolist() == [5, 5]
    assert counts.positives.tolist() == [3, 1]
    assert counts.together.tolist() == [[1.0, 1 / 3], [1.0, 1.0]]
    assert counts.values.tolist() == [[1, 1, 1, 1, 0, 1], [2, 2, 0, 1, 0, 0]]


def test_people_are_counted_at_once_and_not_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """EmotioNet has 24,600 people: a pass over the rows for each of them takes minutes."""
    index = _index(LEVELS)
    monkeypatch.setattr(Index, "rows_of", lambda *_: pytest.fail("one pass for one person"))
    assert count_labels(index, CODES, Scale.LEVEL, lambda _: 2.0).subjects == {"A": 4, "B": 2}
    assert all(one.agrees for one in compare(index, CODES, Scale.LEVEL, EXPECTED))


def test_blocks_of_rows_change_no_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = count_labels(_index(LEVELS), CODES, Scale.LEVEL, lambda _: None)
    monkeypatch.setattr("datamodules.check_counts._CHUNK", 2)
    split = count_labels(_index(LEVELS), CODES, Scale.LEVEL, lambda _: None)
    assert whole.positives.tolist() == split.positives.tolist() == [4, 3]  # above 0, where no rule is known
    assert np.array_equal(whole.together, split.together)
    assert np.array_equal(whole.values, split.values)


def test_a_unit_that_nobody_shows_has_no_co_occurrence() -> None:
    counts = count_labels(_index({"A": [[1, 0], [1, 0]]}), CODES, Scale.PRESENCE, lambda _: None)
    assert counts.together[0].tolist() == [1.0, 0.0]
    assert np.isnan(counts.together[1]).all()


def test_a_complete_copy_agrees_with_every_published_number() -> None:
    checked = check_dataset(_small())
    assert len(checked.compared) == 20  # 2 totals, 2 parts, 2 people, 2 sequences, 10 positives, 2 weights
    assert [one.what for one in checked.compared if not one.agrees] == []
    assert len(checked.findings) == 0
    assert verdict(checked)[0] == "good"
    assert (checked.sizes, checked.pictures_read) == ({(8, 6): 6}, 6)


def test_each_number_that_differs_is_a_warning() -> None:
    checked = check_dataset(_small({"A": [*LEVELS["A"][:3], [2, 0]], "B": [[3, 0]], "C": [[0, 0]]}))
    off: dict[str, tuple[float, float]] = {
        one.what: (one.found, one.expected) for one in checked.compared if not one.agrees
    }
    wanted = {
        "people of the dataset": (3, 2),
        "frames of B": (1, 2),
        "frames of C": (1, 0),
        "frames of B/T1": (1, 2),
        "AU1 in A": (3, 2),
        "AU1 in part1": (3, 2),
        "AU1 in the dataset": (4, 3),
        "class weight of AU1 in fold 2": (0.5, 0.666667),
    }
    assert {what: off[what] for what in wanted} == wanted
    assert "frames of the dataset" not in off
    assert checked.findings.counts() == {"count-differs": len(off)}
    assert checked.broken == []
    assert verdict(checked)[0] == "warn"
    messages = [finding.message for finding in checked.findings]
    assert "frames of B: 1 here, 2 published (a list)" in messages


def test_counts_of_another_scale_are_not_compared() -> None:
    presence = replace(EXPECTED, threshold=None)
    names = [one.what for one in compare(_index(LEVELS), CODES, Scale.LEVEL, presence)]
    assert names
    assert not any("AU" in name for name in names)
    assert not any("AU" in one.what for one in compare(_index(LEVELS), ("AU1", "AU2"), Scale.LEVEL, EXPECTED))


def test_a_unit_without_a_positive_has_no_weight_and_that_differs() -> None:
    compared = compare(_index({"A": [[2, 0]] * 4, "B": [[2, 0]] * 2}), CODES, Scale.LEVEL, EXPECTED)
    weights = [one for one in compared if one.what.startswith("class weight")]
    assert [one.agrees for one in weights] == [False, False]


def test_the_published_counts_of_disfa_are_met_by_labels_made_from_them() -> None:
    """130,814 rows: every person, every part and every class weight, to six decimals."""
    expected = expected_counts("disfa")
    assert expected is not None
    rows = IndexRows()
    for person, count in expected.subjects.items():
        levels = np.zeros((count.frames, len(expected.aus)))
        for column, positives in enumerate(count.positives):
            levels[:positives, column] = 2 + column % 4
            levels[positives : positives + 50, column] = 1  # below the threshold
        names = [f"{person}/{number:04d}" for number in range(count.frames)]
        rows.extend(names, person, names, levels, names)
    index = rows.index(len(expected.aus))
    compared = compare(index, expected.aus, Scale.LEVEL, expected)
    assert len(index) == 130_814
    assert len(compared) == 2 + 3 + 27 + 8 * (1 + 3 + 27) + 3 * 8
    assert [one for one in compared if not one.agrees] == []
    index.labels[7, 2] = 0 if index.labels[7, 2] >= 2 else 5
    wrong = [one.what for one in compare(index, expected.aus, Scale.LEVEL, expected) if not one.agrees]
    assert {"AU4 in SN001", "AU4 in part1", "AU4 in the dataset"} <= set(wrong)


def test_the_rule_of_the_class_weights() -> None:
    assert class_weights(100, [10, 20, 40]) == pytest.approx([12 / 7, 6 / 7, 3 / 7])


def test_a_sound_folder_is_read_whole(tmp_path: Path) -> None:
    checked = check_dataset(_folder(tmp_path / "f"), workers=2)
    assert (checked.pictures_read, checked.counts.frames) == (36, 36)
    assert sum(checked.sizes.values()) == 36
    assert checked.broken == []
    folds = [(one.protocol, one.fold) for one in checked.folds]
    assert [fold for protocol, fold in folds if protocol == "people_folds"] == [1, 2, 3]
    assert {protocol for protocol, _ in folds} == {"people_folds", "leave_one_subject_out", "own_folds"}
    assert {sum(one.faces) for one in checked.folds} == {36}
    assert "no counts were published" in verdict(checked)[1]


def test_labels_alone_can_be_checked(tmp_path: Path) -> None:
    module = _folder(tmp_path / "f")
    (tmp_path / "f/person 0/0.png").write_text("<html>")
    checked = check_dataset(module, pictures=False)
    assert (checked.pictures_read, checked.broken) == (0, [])
    assert "pictures  not read" in summary(checked)


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_and_missing_pictures_are_listed(tmp_path: Path, workers: int) -> None:
    module = _folder(tmp_path / "f")
    (tmp_path / "f/person 0/0.png").write_text("<!doctype html><title>Sign in</title>")
    whole = (tmp_path / "f/person 8/2.jpg").read_bytes()
    (tmp_path / "f/person 8/2.jpg").write_bytes(whole[:99])
    (tmp_path / "f/person 3/1.jpg").unlink()
    checked = check_dataset(module, workers=workers)
    assert checked.findings.counts() == {"missing-image": 1, "broken-image": 2}
    assert [finding.where for finding in checked.broken] == ["person 0/0.png", "person 8/2.jpg"]
    assert checked.pictures_read == 33
    assert verdict(checked) == ("bad", "broken: 2 of its labels and pictures cannot be used")


def test_a_picture_of_20000_pixels_a_side_is_listed(tmp_path: Path) -> None:
    module = _folder(tmp_path / "f")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "f/person 0/0.png")
    checked = check_dataset(module)
    assert [finding.kind for finding in checked.broken] == ["broken-image"]
    assert "10000 pixels a side" in checked.broken[0].message


def test_every_label_out_of_range_is_listed_with_its_line(tmp_path: Path) -> None:
    module = _folder(tmp_path / "f")
    _rewritten(tmp_path / "f", "AU1", {4: "7", 30: "-3"})
    checked = check_dataset(module)
    said = [finding.message for finding in checked.broken]
    assert re.search(r"labels\.csv:6: label 7 of AU1 is outside the scale 'level' \(0, 1, 2, 3, 4", said[0])
    assert re.search(r"labels\.csv:32: label -3 of AU1 ", said[1])
    assert len(said) == 2
    assert checked.counts.known[0] == (checked.index.labels[:, 0] != UNKNOWN).sum()


def test_many_of_a_kind_are_counted_and_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_module, "KEPT", 3)
    module = _folder(tmp_path / "f")
    _rewritten(tmp_path / "f", "AU1", dict.fromkeys(range(10), "9"))
    for path in sorted((tmp_path / "f").glob("person [01]/*")):
        path.write_text("<html>")
    checked = check_dataset(module)
    assert checked.findings.counts() == {"label-out-of-range": 10, "broken-image": 8}
    assert len(checked.broken) == 8
    assert "5 more pictures cannot be read" in checked.broken[-1].message


@pytest.mark.parametrize("what", ["missing", "broken", "label"])
def test_strict_stops_at_the_first(tmp_path: Path, what: str) -> None:
    module = _folder(tmp_path / "f", strict=True)
    if what == "label":
        _rewritten(tmp_path / "f", "AU12L", {2: "7"})
    elif what == "broken":
        (tmp_path / "f/person 0/0.png").write_text("<html>")
    else:
        (tmp_path / "f/person 0/0.png").unlink()
    with pytest.raises(DatasetError, match=r"0\.png|labels\.csv:4: label 7 of AU12L"):
        check_dataset(module)


def test_strict_takes_a_count_that_differs_for_an_error() -> None:
    with pytest.raises(DatasetError, match=r"^frames of the dataset: 4 here, 6 published"):
        check_dataset(_small({"A": LEVELS["A"]}, strict=True))


def test_a_structure_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    module = _folder(tmp_path / "f")
    (tmp_path / "f/labels.csv").unlink()
    with pytest.raises(DatasetError, match="has no label table"):
        check_dataset(module)


def test_progress_sees_every_picture(tmp_path: Path) -> None:
    seen: list[int] = []

    def progress(
        blocks: Iterator[list[check_module.Looked]], total: int
    ) -> Iterator[list[check_module.Looked]]:
        seen.append(total)
        for block in blocks:
            seen.append(len(block))
            yield block

    check_dataset(_folder(tmp_path / "f"), progress=progress)
    assert seen[0] == sum(seen[1:]) == 36


def _page(checked: Checked, folder: Path) -> str:
    page = write_report(checked, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json", "report.png"]
    return page.read_text(encoding="utf-8")


def test_the_page_is_one_file_that_loads_nothing(tmp_path: Path) -> None:
    page = _page(check_dataset(_small()), tmp_path / "out")
    assert page.startswith("<!doctype html>")
    assert not re.search(r"(?:src|href)=|url\(|<script|@import", page)
    assert page.count("<svg") == page.count("</svg>") >= 4
    for word in ("all 20 published numbers agree", "Co-occurrence", "Prevalence", "Faces of each person"):
        assert word in page


def test_the_page_shows_what_differs(tmp_path: Path) -> None:
    checked = check_dataset(_small({"A": LEVELS["A"], "B": LEVELS["B"][:1]}))
    page = _page(checked, tmp_path / "out")
    assert '<tr class="off"><td>frames of B</td><td>1</td><td>2</td></tr>' in page
    assert "another edition" in page
    assert "count-differs" in page
    kept = json.loads((tmp_path / "out/report.json").read_text())
    assert ["frames of B", 1, 2, False] in kept["compared"]
    assert kept["subjects"] == {"A": 4, "B": 1}
    assert kept["positives"] == {"AU1": 3, "AU12": 1}


def test_names_from_files_are_escaped(tmp_path: Path) -> None:
    checked = check_dataset(_small({"<script>alert(1)</script>": LEVELS["A"], "B&B": LEVELS["B"]}))
    page = as_html(checked)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    write_report(checked, tmp_path)


def test_the_summary_names_kinds_and_the_first_of_each() -> None:
    told = summary(check_dataset(_small({"A": LEVELS["A"]})))
    assert "faces     4 of 1 people" in told
    assert "7 known, 1 unknown" in told
    told_once = r"^warning   \d+ x count-differs: 1 people, 1 sequences differ: see the report$"
    assert len(re.findall(told_once, told, re.MULTILINE)) == 1


def test_a_protocol_that_nobody_can_be_tested_by_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Folder, "protocol", lambda *_: Protocol("people_folds", 1, (("P0",), ("nobody",))))
    checked = check_dataset(_folder(tmp_path))
    (found,) = checked.findings
    assert (found.kind, found.where) == ("no-split", "people_folds")
    assert "leaves nobody in the test part of fold 2" in found.message


def test_a_protocol_asked_for_by_name_that_cannot_be_had_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Folder, "protocol", lambda *_: Protocol("people_folds", 1, (("P0",), ("nobody",))))
    module = _folder(tmp_path)
    module.settings = replace(module.settings, protocol="people_folds")
    with pytest.raises(DatasetError, match="leaves nobody in the test part of fold 2"):
        check_dataset(module)


def test_people_and_sequences_that_differ_are_folded_up(tmp_path: Path) -> None:
    """Hundreds of them must not push the plots off the page."""
    page = _page(check_dataset(_small({"A": LEVELS["A"], "B": LEVELS["B"][:1]})), tmp_path / "out")
    folded = page.index("more that differ")
    assert page.index("<td>frames of the dataset</td>") < folded < page.index("<td>frames of B</td>")
