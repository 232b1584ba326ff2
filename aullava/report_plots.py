"""Curves as SVG text for the report: they stay sharp at any size and need no plotting library.

Bars and heat maps are those of the datasets' check report (`datamodules.check_plots`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
COLOURS: Final = ("#1f6f8b", "#d9742b", "#5b7f3a", "#8a4f9e", "#b23a48", "#3d5a98", "#7a6a2f", "#2a8c82")
INK, FAINT, SOFT = "#22303c", "#dde4ea", "#6b7a88"
_WIDE, _HIGH = 380, 220
_LEFT, _RIGHT, _ABOVE, _BELOW = 54, 12, 10, 28
MOST_POINTS: Final = 300

Curve = tuple[Values, Values]


def lines(curves: Mapping[str, Curve], title: str, log: bool = False) -> str:
    """Curves over training steps, with a legend where there are several.

    Args:
        curves: name -> steps and values; long ones are thinned out, single points left out.
        title: above the plot.
        log: logarithmic values, where all are above 0.
    """
    kept = {name: _thin(curve) for name, curve in curves.items() if len(curve[0]) > 1}
    if not kept:
        return ""
    low, high = _range([curve[1] for curve in kept.values()])
    log = log and low > 0
    ends = float(min(x[0] for x, _ in kept.values())), float(max(x[-1] for x, _ in kept.values()))
    drawn = [_axes(ends, (low, high), log)]
    for colour, (name, (x, y)) in zip(_colours(len(kept)), kept.items(), strict=True):
        drawn.append(_path(_across(x, *ends), _up(y, low, high, log), colour, name))
    legend = "" if len(kept) == 1 else _legend(list(kept))
    return _figure(title, "".join(drawn), legend)


def unit_curve(
    x: Values, y: Values, title: str, kind: str, note: str = "", before: Curve | None = None
) -> str:
    """A small plot of the unit square: a precision-recall or a reliability curve.

    Args:
        x: across, in [0, 1].
        y: up, in [0, 1].
        title: above it.
        kind: ``pr``, or ``reliability``, which has a diagonal and points.
        note: a number in its corner.
        before: a second curve, drawn faintly: before the temperature.
    """
    size, pad = 132, 6

    def point(a: float, b: float) -> tuple[float, float]:
        return pad + a * (size - 2 * pad), size - pad - b * (size - 2 * pad)

    def path(one: Values, other: Values, colour: str, wide: float) -> str:
        known = ~(np.isnan(one) | np.isnan(other))
        spots = [point(a, b) for a, b in zip(one[known], other[known], strict=True)]
        d = " ".join(f"{a:.1f},{b:.1f}" for a, b in spots)
        dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2" fill="{colour}"/>' for a, b in spots)
        line = f'<polyline points="{d}" fill="none" stroke="{colour}" stroke-width="{wide}"/>'
        return line + (dots if kind == "reliability" else "")

    inner = size - 2 * pad
    parts = [f'<rect x="{pad}" y="{pad}" width="{inner}" height="{inner}" fill="#f7f9fb" stroke="{FAINT}"/>']
    if kind == "reliability":
        parts.append(
            f'<line x1="{pad}" y1="{size - pad}" x2="{size - pad}" y2="{pad}" stroke="{SOFT}" '
            'stroke-dasharray="3 3"/>'
        )
    if before is not None:
        parts.append(path(*before, "#c9d2da", 1))
    parts.append(path(x, y, COLOURS[0], 1.8))
    parts.append(
        f'<text x="{size - pad - 4}" y="{size - pad - 6}" text-anchor="end" class="n">{escape(note)}</text>'
    )
    svg = f'<svg viewBox="0 0 {size} {size}" width="{size}" role="img">{"".join(parts)}</svg>'
    return f'<figure class="small"><figcaption>{escape(title)}</figcaption>{svg}</figure>'


def _thin(curve: Curve) -> Curve:
    x, y = curve
    if len(x) <= MOST_POINTS:
        return curve
    at = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(np.int64))
    return x[at], y[at]


def _range(values: Sequence[Values]) -> tuple[float, float]:
    known = np.concatenate(values)
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if 0 <= low < 1e-3 * high:
        low = 0.0
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _across(x: Values, low: float, high: float) -> Values:
    return _LEFT + (x - low) / max(high - low, 1e-12) * (_WIDE - _LEFT - _RIGHT)


def _up(y: Values, low: float, high: float, log: bool) -> Values:
    if log:
        y, low, high = np.log10(y), math.log10(low), math.log10(high)
    return _HIGH - _BELOW - (y - low) / max(high - low, 1e-12) * (_HIGH - _ABOVE - _BELOW)


def _path(x: Values, y: Values, colour: str, name: str) -> str:
    known = np.isfinite(y)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[known], y[known], strict=True))
    title = f"<title>{escape(name)}</title>"
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6">{title}</polyline>'


def _axes(steps: tuple[float, float], values: tuple[float, float], log: bool) -> str:
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        low, high = (math.log10(one) for one in values) if log else values
        value = 10 ** (low + share * (high - low)) if log else low + share * (high - low)
        y = _HIGH - _BELOW - share * (_HIGH - _ABOVE - _BELOW)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDE - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{FAINT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" class="n">{value:.3g}</text>')
    for at, anchor in ((0, "start"), (1, "end")):
        x = _LEFT if at == 0 else _WIDE - _RIGHT
        parts.append(
            f'<text x="{x}" y="{_HIGH - 8}" text-anchor="{anchor}" class="n">{steps[at]:,.0f}</text>'
        )
    middle = (_LEFT + _WIDE - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HIGH - 8}" text-anchor="middle" class="n">step</text>')
    return "".join(parts)


def _legend(names: Sequence[str]) -> str:
    spots = [
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for colour, name in zip(_colours(len(names)), names, strict=True)
    ]
    return f'<div class="legend">{"".join(spots)}</div>'


def _colours(count: int) -> list[str]:
    return [COLOURS[at % len(COLOURS)] for at in range(count)]


def _figure(title: str, drawn: str, legend: str) -> str:
    svg = f'<svg viewBox="0 0 {_WIDE} {_HIGH}" width="{_WIDE}" role="img">{drawn}</svg>'
    return f"<figure><figcaption>{escape(title)}</figcaption>{svg}{legend}</figure>"
