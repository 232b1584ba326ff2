"""The plots of a check: the same shapes as SVG text and as a picture."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from datamodules import check_figures
from datamodules.check import check_dataset
from datamodules.check_plots import BAR, OTHER, Box, Line, Word, bars, heat_map, histogram, rows_of_bars
from datamodules.check_report import as_html, write_report
from datamodules.plot_drawing import as_picture, as_svg
from tests.datamodules.helpers import dataset, small


def _boxes(plot: object) -> list[Box]:
    return [shape for shape in plot.shapes if isinstance(shape, Box)]  # type: ignore[attr-defined]


def _count(picture: Image.Image, colour: str) -> int:
    return int((np.asarray(picture) == ImageColor.getrgb(colour)).all(axis=2).sum())


def test_bars_are_as_tall_as_their_values() -> None:
    plot = bars(["AU1", "AU2", "AU4"], [10, 5, 0], "faces", marks=[None, 10, None])
    assert [box.height for box in _boxes(plot)] == [150, 75, 0]
    (mark,) = [shape for shape in plot.shapes if isinstance(shape, Line) and shape.fill == OTHER]
    assert mark.y == _boxes(plot)[0].y  # the published value of AU2 is what AU1 shows
    assert "AU2: 5" in [box.hint for box in _boxes(plot)]


def test_a_picture_shows_what_the_page_shows() -> None:
    plots = [bars(["AU1", "AU2"], [1, 0.5], "share", "{:.0%}"), heat_map(["A", "B"], np.eye(2), "together")]
    picture = as_picture(["a dataset", "a line"], plots)
    sizes = re.findall(rf'width="([\d.]+)" height="([\d.]+)" fill="{BAR}"', as_svg(plots[0]))
    assert [float(height) for _, height in sizes] == [150, 75]
    inside = sum(float(w) * float(h) for w, h in sizes) * 4  # two pixels for one, both ways
    assert _count(picture, BAR) == inside
    assert as_svg(plots[1]).count("<rect") == 4
    assert picture.height == 2 * (sum(plot.height + 30 for plot in plots) + 48 + 3 * 20)


def test_a_turned_word_ends_at_its_place() -> None:
    """Below the bars it comes from the lower left, over a heat map it leaves to the upper right."""
    bare = as_picture([], [bars([], [], "")])
    for anchor, wanted in (("end", (-1, 1)), ("start", (1, -1))):
        plot = bars([], [], "")
        word = Word(400, 100, "PV101", anchor, turned=True)
        shown = as_picture([], [type(plot)("", plot.width, plot.height, (*plot.shapes, word))])
        ys, xs = np.nonzero((np.asarray(shown) != np.asarray(bare)).any(axis=2))
        x, y = 2 * (24 + 400), 2 * (24 + 20 + 30 + 100)
        assert (np.sign(xs.mean() - x), np.sign(ys.mean() - y)) == wanted
        near = np.hypot(xs - x, ys - y).min()
        assert near < 25


def test_many_people_are_counted_and_some_stand_in_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = check_dataset(dataset("folder", small("folder", tmp_path)))
    people = checked.counts.subjects
    monkeypatch.setattr(check_figures, "IN_A_ROW", 4)
    rows = list(check_figures.people_figures(checked))
    assert [len(_boxes(row)) for row in rows] == [4] * (len(people) // 4) + [len(people) % 4]
    assert [bool(row.title) for row in rows] == [True, *[False] * (len(rows) - 1)]
    monkeypatch.setattr(check_figures, "PEOPLE_SHOWN", 2)
    (counted,) = check_figures.people_figures(checked)
    assert _boxes(counted)[0].hint == f"4: {len(people)}"
    assert "People by the number of their faces" in as_html(checked)


def test_rows_of_bars_have_one_height() -> None:
    first, second = rows_of_bars(["A", "B", "C"], [10, 5, 5], "faces", [], 2)
    assert [box.height for box in (*_boxes(first), *_boxes(second))] == [150, 75, 75]


def test_a_histogram_counts_every_value() -> None:
    exact = histogram([1, 1, 2, 4], "faces", 5)
    assert [box.hint for box in _boxes(exact)] == ["1: 2", "2: 1", "3: 0", "4: 1"]
    wide = histogram([1, 1, 2, 4, 9, 1000], "faces", 10)
    assert [box.hint for box in _boxes(wide)][:2] == ["1-100: 5", "101-200: 0"]
    assert len(_boxes(wide)) == 10


def test_the_report_comes_as_one_picture_too(tmp_path: Path) -> None:
    checked = check_dataset(dataset("folder", small("folder", tmp_path / "faces")))
    page = write_report(checked, tmp_path / "out")
    with Image.open(page.with_name("report.png")) as picture:
        picture.load()
        assert picture.width == 2400
        assert _count(picture.convert("RGB"), BAR) > 10_000
