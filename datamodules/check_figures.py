"""Which plots a check shows: prevalence, what is unknown, co-occurrence, faces of each person."""

from __future__ import annotations

from collections.abc import Iterator

from datamodules.check import Checked
from datamodules.check_plots import Plot, bars, heat_map, histogram, rows_of_bars

PEOPLE_SHOWN = 200
"""People who have a bar each; of more (pictures from the web, each somebody else) it is counted how many have
how many faces."""

IN_A_ROW = 50
"""Bars in a row whose names can be read."""

_MARKED = " (orange line: published)"


def label_figures(checked: Checked) -> Iterator[Plot]:
    """Prevalence and unknown labels of each unit."""
    counts, codes = checked.counts, checked.module.coded_aus()
    share = [int(p) / max(int(k), 1) for p, k in zip(counts.positives, counts.known, strict=True)]
    unknown = [1 - int(known) / max(counts.frames, 1) for known in counts.known]
    published = _published(checked)
    title = "Prevalence: share of the coded faces that show the unit" + (_MARKED if any(published) else "")
    yield bars(codes, share, title, "{:.0%}", published)
    if any(unknown):
        yield bars(codes, unknown, "Unknown labels: share of all faces", "{:.1%}")


def level_figures(checked: Checked) -> Iterator[Plot]:
    """Faces of each level from 1 on; none where the labels are no levels."""
    values = checked.counts.values
    for level in range(1, values.shape[1]):
        column = [int(number) for number in values[:, level]]
        yield bars(checked.module.coded_aus(), column, f"Faces with level {level}")


def together_figure(checked: Checked) -> Plot:
    """Co-occurrence."""
    title = "Co-occurrence: of the faces with the unit of the row, per cent that show the unit of the column"
    return heat_map(checked.module.coded_aus(), checked.counts.together, title)


def people_figures(checked: Checked) -> Iterator[Plot]:
    """Faces of each person."""
    people = checked.counts.subjects
    if len(people) > PEOPLE_SHOWN:
        yield histogram(list(people.values()), "People by the number of their faces", IN_A_ROW // 2)
        return
    marks = [] if checked.expected is None else [checked.expected.subjects.get(one) for one in people]
    frames = [None if mark is None else mark.frames for mark in marks]
    title = "Faces of each person" + (_MARKED if any(frames) else "")
    yield from rows_of_bars(list(people), list(people.values()), title, frames, IN_A_ROW)


def _published(checked: Checked) -> list[float | None]:
    """The published prevalence of each unit."""
    expected = checked.expected
    if expected is None or expected.total is None or not expected.total.positives:
        return []
    shares = dict(zip(expected.aus, expected.total.positives, strict=True))
    return [
        shares[code] / expected.total.frames if code in shares else None
        for code in checked.module.coded_aus()
    ]
