"""Pictures of answers: the face, and a bar per Action Unit with the truth marked on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps

from aullava.text.answer import Answer
from datamodules.action_units import UNKNOWN, Scale, action_unit

Picture = npt.NDArray[np.uint8]

_FACE, _GAP, _HEAD, _ROW = 240, 18, 30, 19
_CODE, _NAME, _BAR, _VALUE = 58, 152, 120, 40  # the parts of a column, from left to right
_COLUMN: Final = _CODE + _NAME + _BAR + _VALUE
_INK, _SOFT, _PALE = (28, 30, 34), (108, 114, 122), (229, 232, 237)
_ANSWER, _TRUTH = (46, 109, 164), (222, 108, 32)
_TITLES: Final = MappingProxyType(
    {Scale.PRESENCE: "presence (0/1)", Scale.LEVEL: "level (0-5)", Scale.INTENSITY: "intensity (0-1)"}
)


def answer_card(image: Picture, answer: Answer, truth: Mapping[str, float] | None = None) -> Picture:
    """The face beside the bars of one answer.

    Args:
        image: RGB uint8 [H, W, 3].
        answer: what the model said.
        truth: labels by code on the scale of the answer, where known; drawn as a mark on the bar.

    Returns:
        RGB uint8 [h, w, 3]; all cards have the same width, the height goes by the number of Action Units.
    """
    return answers_card(image, [answer], truth)


def answers_card(
    image: Picture, answers: Sequence[Answer], truth: Mapping[str, float] | None = None
) -> Picture:
    """The face beside the bars of several answers about it, one column per format.

    Args:
        image: RGB uint8 [H, W, 3].
        answers: what the model said.
        truth: labels by code on the scale of the answer, where known; only sensible for one answer.

    Returns:
        RGB uint8 [h, w, 3]; cards of equally many answers have the same width.
    """
    rows = max((len(answer.aus) for answer in answers), default=0)
    height = 2 * _GAP + max(_FACE, _HEAD + rows * _ROW)
    card = Image.new("RGB", (_FACE + 2 * _GAP + (_COLUMN + _GAP) * len(answers), height), "white")
    face = ImageOps.contain(Image.fromarray(image), (_FACE, _FACE), Image.Resampling.LANCZOS)
    card.paste(face, (_GAP, _GAP))
    draw = ImageDraw.Draw(card)
    for number, answer in enumerate(answers):
        _column(draw, _FACE + 2 * _GAP + number * (_COLUMN + _GAP), answer, truth or {})
    return np.asarray(card)


def _column(draw: ImageDraw.ImageDraw, left: int, answer: Answer, truth: Mapping[str, float]) -> None:
    """Title and legend, then code, name, bar and value of each Action Unit."""
    font, bold = ImageFont.load_default(12), ImageFont.load_default(15)
    title = _TITLES[answer.scale] if answer.valid else f"{_TITLES[answer.scale]}: unreadable"
    draw.text((left, _GAP - 3), title, fill=_INK, font=bold)
    bar = left + _CODE + _NAME
    if truth:
        _mark(draw, bar, _GAP + 1, 15)
        draw.text((bar + 8, _GAP), "truth", fill=_TRUTH, font=font)
    for row, (code, value) in enumerate(zip(answer.aus, answer.values.tolist(), strict=True)):
        y = _GAP + _HEAD + row * _ROW
        draw.text((left, y), code, fill=_INK, font=font)
        draw.text((left + _CODE, y), _fitting(action_unit(code).name, font), fill=_SOFT, font=font)
        _bar(draw, bar, y, value, truth.get(code, UNKNOWN), answer.scale)
        draw.text((bar + _BAR + 8, y), _value(value, answer.scale), fill=_INK, font=font)


def _bar(draw: ImageDraw.ImageDraw, left: int, top: int, value: float, known: float, scale: Scale) -> None:
    """The answer as a bar, divided into levels where there are some, and the truth as a mark across it."""
    upper, lower, most = top + 2, top + _ROW - 6, scale.top
    draw.rectangle((left, upper, left + _BAR, lower), fill=_PALE)
    if value != UNKNOWN and value > 0:
        draw.rectangle((left, upper, left + round(_BAR * value / most), lower), fill=_ANSWER)
    for level in range(1, most):
        at = left + round(_BAR * level / most)
        draw.line((at, upper, at, lower), fill="white")
    if known != UNKNOWN:
        _mark(draw, left + round(_BAR * known / most), upper - 2, lower - upper + 4)


def _mark(draw: ImageDraw.ImageDraw, at: int, top: int, height: int) -> None:
    """The orange mark of a true value, with a white edge that sets it off from the bar."""
    draw.rectangle((at - 2, top, at + 2, top + height), fill="white")
    draw.rectangle((at - 1, top, at + 1, top + height), fill=_TRUTH)


def _fitting(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """A name, cut where its place ends."""
    if font.getlength(name) <= _NAME:
        return name
    while font.getlength(f"{name}...") > _NAME:
        name = name[:-1]
    return f"{name}..."


def _value(value: float, scale: Scale) -> str:
    if value == UNKNOWN:
        return "?"
    return f"{value:.2f}" if scale is Scale.INTENSITY else f"{value:.0f}"
