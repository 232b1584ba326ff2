"""Pictures of answers: the face, and a bar per Action Unit with the truth beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from aullava.text.answer import Answer
from datamodules.action_units import UNKNOWN, Scale

Picture = npt.NDArray[np.uint8]

_ROW, _NAME, _BAR, _GAP = 15, 58, 120, 14
_FACE = 200
_INK, _PALE, _ANSWER, _TRUTH = (30, 30, 30), (228, 230, 234), (46, 109, 164), (214, 108, 42)
_TITLES = {Scale.PRESENCE: "presence (0/1)", Scale.LEVEL: "level (0-5)", Scale.INTENSITY: "intensity (0-1)"}


def answer_card(image: Picture, answer: Answer, truth: Mapping[str, float] | None = None) -> Picture:
    """The face beside the bars of one answer.

    Args:
        image: RGB uint8 [H, W, 3].
        answer: what the model said.
        truth: labels by code, where known; drawn as a mark on the bar.

    Returns:
        RGB uint8 [h, w, 3]; cards of equal formats have equal widths.
    """
    return answers_card(image, [answer], truth)


def answers_card(image: Picture, answers: Sequence[Answer], truth: Mapping[str, float] | None = None) -> Picture:
    """The face beside the bars of several answers about it, one column per format.

    Args:
        image: RGB uint8 [H, W, 3].
        answers: what the model said.
        truth: labels by code on the scale of the answer, where known; only sensible for one answer.

    Returns:
        RGB uint8 [h, w, 3].
    """
    column = _NAME + _BAR + 44 + _GAP
    rows = 26
    height = max(_FACE + 2 * _GAP, _GAP * 2 + 18 + _ROW * rows)
    card = Image.new("RGB", (_FACE + 2 * _GAP + column * len(answers), height), "white")
    face = Image.fromarray(image)
    face.thumbnail((_FACE, _FACE), Image.Resampling.LANCZOS)
    if max(face.size) < _FACE:
        side = _FACE / max(face.size)
        face = face.resize((round(face.width * side), round(face.height * side)), Image.Resampling.LANCZOS)
    card.paste(face, (_GAP, _GAP))
    draw = ImageDraw.Draw(card)
    for number, answer in enumerate(answers):
        _column(draw, _FACE + 2 * _GAP + number * column, answer, truth or {})
    return np.asarray(card)


def _column(draw: ImageDraw.ImageDraw, left: int, answer: Answer, truth: Mapping[str, float]) -> None:
    """Title, then name, bar and value of each Action Unit; an orange mark stands at the truth."""
    small, bold = ImageFont.load_default(11), ImageFont.load_default(13)
    title = _TITLES[answer.scale] if answer.valid else f"{_TITLES[answer.scale]}: unreadable"
    draw.text((left, _GAP - 4), title, fill=_INK, font=bold)
    top = 5.0 if answer.scale is Scale.LEVEL else 1.0
    for row, (code, value) in enumerate(zip(answer.aus, answer.values.tolist(), strict=True)):
        y = _GAP + 18 + row * _ROW
        draw.text((left, y), code, fill=_INK, font=small)
        bar = left + _NAME
        draw.rectangle((bar, y + 2, bar + _BAR, y + _ROW - 4), fill=_PALE)
        if value != UNKNOWN and value > 0:
            draw.rectangle((bar, y + 2, bar + round(_BAR * value / top), y + _ROW - 4), fill=_ANSWER)
        known = truth.get(code, UNKNOWN)
        if known != UNKNOWN:
            at = bar + round(_BAR * known / top)
            draw.rectangle((at - 1, y, at + 1, y + _ROW - 2), fill=_TRUTH)
        draw.text((bar + _BAR + 6, y), _value(value, answer.scale), fill=_INK, font=small)


def _value(value: float, scale: Scale) -> str:
    if value == UNKNOWN:
        return "?"
    return f"{value:.2f}" if scale is Scale.INTENSITY else f"{value:.0f}"
