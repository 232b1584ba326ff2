"""Pictures of scores for places that show pictures only: reliability curves, and what comes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from aullava.evaluation.answer_table import Values
from aullava.evaluation.curves import Reliability

Picture = npt.NDArray[np.uint8]
INK, SOFT, FAINT, CURVE = (34, 48, 60), (107, 122, 136), (214, 221, 228), (31, 111, 139)
_LOW, _HIGH = (247, 250, 252), (20, 78, 121)
_PLOT, _GAP, _HEAD = 120, 16, 20
_ACROSS: Final = 6
_CELL, _NAMES = 30, 52


def reliability_picture(curves: Mapping[str, Reliability]) -> Picture:
    """A small plot for each Action Unit: share present (up) against probability (across), and the ECE.

    Returns:
        RGB uint8 [H, W, 3].
    """
    rows = -(-len(curves) // _ACROSS)
    width = _GAP + min(len(curves), _ACROSS) * (_PLOT + _GAP)
    canvas = Image.new("RGB", (width, _GAP + rows * (_PLOT + _HEAD + _GAP)), "white")
    draw = ImageDraw.Draw(canvas)
    for number, (code, curve) in enumerate(curves.items()):
        left = _GAP + number % _ACROSS * (_PLOT + _GAP)
        top = _GAP + number // _ACROSS * (_PLOT + _HEAD + _GAP)
        draw.text((left, top), f"{code}   ECE {curve.error:.3f}", fill=INK, font=ImageFont.load_default(12))
        _curve(draw, left, top + _HEAD, curve)
    return np.asarray(canvas)


def _curve(draw: ImageDraw.ImageDraw, left: int, top: int, curve: Reliability) -> None:
    bottom, right = top + _PLOT, left + _PLOT
    draw.rectangle((left, top, right, bottom), outline=FAINT)
    draw.line((left, bottom, right, top), fill=SOFT)
    filled = curve.counts > 0
    points = [
        (left + said * _PLOT, bottom - seen * _PLOT)
        for said, seen in zip(curve.said[filled], curve.seen[filled], strict=True)
    ]
    if len(points) > 1:
        draw.line(points, fill=CURVE, width=2)
    for x, y in points:
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=CURVE)


def co_occurrence_picture(aus: Sequence[str], matrices: Mapping[str, Values]) -> Picture:
    """Square tables side by side: of the faces that show the row's unit, the share (%) with the column's.

    Args:
        aus: of rows and columns.
        matrices: title -> shares [A, A], NaN stays empty.

    Returns:
        RGB uint8 [H, W, 3].
    """
    side = _NAMES + _CELL * len(aus)
    canvas = Image.new("RGB", (len(matrices) * (side + _GAP) + _GAP, side + 2 * _GAP + _HEAD), "white")
    draw = ImageDraw.Draw(canvas)
    for number, (title, shares) in enumerate(matrices.items()):
        left = _GAP + number * (side + _GAP)
        draw.text((left, _GAP - 4), title, fill=INK, font=ImageFont.load_default(15))
        _matrix(draw, (left + _NAMES, _GAP + _HEAD + 14), aus, shares)
    return np.asarray(canvas)


def _matrix(draw: ImageDraw.ImageDraw, corner: tuple[int, int], aus: Sequence[str], shares: Values) -> None:
    font, (left, top) = ImageFont.load_default(10), corner
    for row, code in enumerate(aus):
        y = top + row * _CELL
        draw.text((left - _NAMES + 2, y + 8), code, fill=INK, font=font)
        draw.text((left + row * _CELL + 2, top - 14), code.removeprefix("AU"), fill=INK, font=font)
        for column in range(len(aus)):
            share = float(shares[row, column])
            if np.isnan(share):
                continue
            x = left + column * _CELL
            colour = tuple(round(low + (high - low) * share) for low, high in zip(_LOW, _HIGH, strict=True))
            draw.rectangle((x, y, x + _CELL - 2, y + _CELL - 2), fill=colour)
            ink = "white" if share > 0.55 else INK
            draw.text((x + _CELL / 2 - 1, y + 14), f"{100 * share:.0f}", fill=ink, font=font, anchor="mm")
