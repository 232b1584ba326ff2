"""Plots as SVG text: they stand in the report itself, stay sharp at any size and need no plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

INK, FAINT, BAR, OTHER = "#1c2733", "#d5dce4", "#2f6f9f", "#e08a2e"
_FONT = 'font-family="system-ui, sans-serif"'
_LOW, _HIGH = (247, 250, 252), (20, 78, 121)  # colours of a heat map at 0 and 1


def bars(
    names: Sequence[str],
    values: Sequence[float],
    title: str,
    form: str = "{:,.0f}",
    marks: Sequence[float | None] = (),
    top: float | None = None,
) -> str:
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
    step = max(16, min(64, 1100 // max(len(names), 1)))
    steep = step < 44
    width, left, floor = 60 + step * len(names), 50, 170
    below = 60 if steep else 25
    parts = [_grid(edge, left, floor, width, form)]
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        x, tall = left + place * step, (floor - 20) * min(value / edge, 1)
        hint = f"<title>{escape(name)}: {form.format(value)}</title>"
        parts.append(
            f'<g><rect x="{x + 2:.1f}" y="{floor - tall:.1f}" width="{step - 4}" height="{tall:.1f}" '
            f'fill="{BAR}"/>{hint}</g>'
        )
        middle = x + step / 2
        parts.append(_text(middle, floor + 14, name, turned=steep))
        if not steep:
            parts.append(_text(middle, floor - tall - 5, form.format(value)))
        if place < len(marks) and (mark := marks[place]) is not None:
            y = floor - (floor - 20) * min(mark / edge, 1)
            ends = f'x1="{x}" x2="{x + step}" y1="{y:.1f}" y2="{y:.1f}"'
            parts.append(f'<line {ends} stroke="{OTHER}" stroke-width="2"/>')
    return _figure(width + 10, floor + below, title, "".join(parts))


def heat_map(names: Sequence[str], shares: npt.NDArray[np.float64], title: str) -> str:
    """A square table of shares in [0, 1] as colours and per cent; NaN stays empty.

    Args:
        names: of rows and columns.
        shares: [A, A].
        title: above the plot.
    """
    cell = 34 if len(names) <= 16 else 26
    left, above = 70, 60
    parts = []
    for row, name in enumerate(names):
        parts.append(_text(left - 6, above + row * cell + cell / 2 + 4, name, anchor="end"))
        parts.append(_text(left + row * cell + cell / 2, above - 8, name, turned=True, up=True))
        for column, other in enumerate(names):
            share = float(shares[row, column])
            if np.isnan(share):
                continue
            x, y = left + column * cell, above + row * cell
            ink = "#ffffff" if share > 0.55 else INK
            parts.append(
                f'<g><rect x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" fill="{_colour(share)}"/>'
                f"{_text(x + cell / 2, y + cell / 2 + 4, f'{100 * share:.0f}', fill=ink)}"
                f"<title>{escape(other)} in {100 * share:.1f} % of the faces with {escape(name)}</title></g>"
            )
    side = cell * len(names)
    return _figure(left + side + 20, above + side + 10, title, "".join(parts))


def _grid(edge: float, left: int, floor: int, width: int, form: str) -> str:
    """Axis and four lines with their values."""
    lines = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = floor - (floor - 20) * share
        lines.append(f'<line x1="{left}" x2="{width}" y1="{y}" y2="{y}" stroke="{FAINT}"/>')
        lines.append(_text(left - 5, y + 4, form.format(edge * share), anchor="end"))
    return "".join(lines)


def _text(
    x: float,
    y: float,
    text: str,
    anchor: str = "middle",
    turned: bool = False,
    up: bool = False,
    fill: str = INK,
) -> str:
    turn = f' transform="rotate(-60 {x:.1f} {y:.1f})"' if turned else ""
    if turned:
        anchor = "start" if up else "end"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="11" fill="{fill}"{turn}>'
        f"{escape(text)}</text>"
    )


def _colour(share: float) -> str:
    mixed = (round(low + (high - low) * share) for low, high in zip(_LOW, _HIGH, strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _figure(width: float, height: float, title: str, drawn: str) -> str:
    """The plot below its title, which may be longer than the plot is wide."""
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" role="img" {_FONT}>{drawn}</svg></figure>'
    )
