"""Plots as lists of shapes: page (SVG) and picture (PNG) show the same, and no plotting library is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

INK, FAINT, BAR, OTHER, WHITE = "#1c2733", "#d5dce4", "#2f6f9f", "#e08a2e", "#ffffff"
_LOW, _HIGH = (247, 250, 252), (20, 78, 121)  # colours of a heat map at 0 and 1
_ACROSS = 1100  # pixels of a whole row of bars


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle; `hint` is said when the pointer rests on it."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    hint: str


@dataclass(frozen=True, slots=True)
class Line:
    """A level line from `x` to `end`."""

    x: float
    end: float
    y: float
    fill: str
    width: int = 1


@dataclass(frozen=True, slots=True)
class Word:
    """A text on the base line `y`: its ``start``, ``middle`` or ``end`` is at `x`; `turned`: it rises."""

    x: float
    y: float
    text: str
    anchor: str = "middle"
    fill: str = INK
    turned: bool = False


Shape = Box | Line | Word


@dataclass(frozen=True, slots=True)
class Plot:
    """Shapes in the order in which they are drawn, in pixels from the upper left corner."""

    title: str
    width: int
    height: int
    shapes: tuple[Shape, ...]


def bars(
    names: Sequence[str],
    values: Sequence[float],
    title: str,
    form: str = "{:,.0f}",
    marks: Sequence[float | None] = (),
    top: float | None = None,
) -> Plot:
    """Upright bars.

    Args:
        names: below the bars; written upright when there are many.
        values: at least 0.
        title: above the plot.
        form: how a value is written over its bar, as for `str.format`.
        marks: published values, drawn as a line across each bar; None: no mark.
        top: value of the upper edge; None: the largest one.
    """
    edge = top or max([*values, *(mark for mark in marks if mark is not None), 1e-12])
    step = max(16, min(64, _ACROSS // max(len(names), 1)))
    steep = step < 44
    width, left, floor = 60 + step * len(names), 50, 170
    shapes: list[Shape] = [*_grid(edge, left, floor, width, form)]
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        x, tall = left + place * step, (floor - 20) * min(value / edge, 1)
        shapes.append(Box(x + 2, floor - tall, step - 4, tall, BAR, f"{name}: {form.format(value)}"))
        middle = x + step / 2
        shapes.append(Word(middle, floor + 14, name, "end" if steep else "middle", turned=steep))
        if not steep:
            shapes.append(Word(middle, floor - tall - 5, form.format(value)))
        if place < len(marks) and (mark := marks[place]) is not None:
            shapes.append(Line(x, x + step, floor - (floor - 20) * min(mark / edge, 1), OTHER, 2))
    return Plot(title, width + 10, floor + (60 if steep else 25), tuple(shapes))


def rows_of_bars(
    names: Sequence[str], values: Sequence[float], title: str, marks: Sequence[float | None], most: int
) -> Iterator[Plot]:
    """As `bars` of one height, with at most so many in a row: the title stands over the first."""
    top = max([*values, *(mark for mark in marks if mark is not None), 1e-12])
    for start in range(0, len(names), most):
        these = slice(start, start + most)
        yield bars(names[these], values[these], "" if start else title, marks=marks[these], top=top)


def histogram(values: Sequence[int], title: str, most: int) -> Plot:
    """How often each whole number comes; in at most so many equal ranges of numbers."""
    low, high = min(values), max(values)
    wide = -(-(high - low + 1) // most)
    counts = np.bincount((np.asarray(values) - low) // wide)
    starts = range(low, low + wide * len(counts), wide)
    names = [f"{start:,}" if wide == 1 else f"{start:,}-{start + wide - 1:,}" for start in starts]
    return bars(names, counts.tolist(), title)


def heat_map(names: Sequence[str], shares: npt.NDArray[np.float64], title: str) -> Plot:
    """A square table of shares in [0, 1] as colours and per cent; NaN stays empty.

    Args:
        names: of rows and columns.
        shares: [A, A].
        title: above the plot.
    """
    cell = 34 if len(names) <= 16 else 26
    left, above = 70, 60
    shapes: list[Shape] = []
    for row, name in enumerate(names):
        shapes.append(Word(left - 6, above + row * cell + cell / 2 + 4, name, "end"))
        shapes.append(Word(left + row * cell + cell / 2, above - 8, name, "start", turned=True))
        for column, other in enumerate(names):
            share = float(shares[row, column])
            if np.isnan(share):
                continue
            x, y = left + column * cell, above + row * cell
            hint = f"{other} in {100 * share:.1f} % of the faces with {name}"
            ink = WHITE if share > 0.55 else INK
            shapes.append(Box(x, y, cell - 1, cell - 1, _colour(share), hint))
            shapes.append(Word(x + cell / 2, y + cell / 2 + 4, f"{100 * share:.0f}", fill=ink))
    side = cell * len(names)
    return Plot(title, left + side + 20, above + side + 10, tuple(shapes))


def _grid(edge: float, left: int, floor: int, width: int, form: str) -> Iterator[Line | Word]:
    """Axis and four lines with their values."""
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = floor - (floor - 20) * share
        yield Line(left, width, y, FAINT)
        yield Word(left - 5, y + 4, form.format(edge * share), "end")


def _colour(share: float) -> str:
    mixed = (round(low + (high - low) * share) for low, high in zip(_LOW, _HIGH, strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)
