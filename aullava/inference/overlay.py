"""Pictures of predictions: a card of face and bars, and a frame with its box and a panel of bars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from aullava.evaluation.draw import answers_card
from aullava.inference.pictures import Image
from aullava.inference.predictor import Prediction
from aullava.inference.table import Row

_BOX, _BAR, _SHADE = (255, 176, 32), (64, 160, 232), (18, 20, 24)
_PANEL: Final = 0.45  # the panel's width as a share of the frame's height
_LEAST: Final = 480  # smaller frames are enlarged to this height, for the letters' sake
_STEP: Final = 20  # height of a bar with its letters


def card(prediction: Prediction) -> Image | None:
    """The face as the model saw it, beside the bars of its answers; None without a face."""
    if prediction.face is None:
        return None
    return answers_card(prediction.face.image, prediction.answers)


def annotated(prediction: Prediction, row: Row) -> Image:
    """A frame with the face's box and a panel with a bar for each Action Unit, 0 to 1.

    The bar is the amount if the run gives one, else the probability of presence; what counts as present is
    bright. Where not all Action Units find place, the strongest stand there, in their usual order.

    Returns:
        RGB uint8 at least 480 pixels high, wider than the frame by the panel; even sides, as video encoders
        want them.
    """
    assert prediction.image is not None
    scale = max(1.0, _LEAST / prediction.image.shape[0])
    height, width = (round(side * scale) for side in prediction.image.shape[:2])
    panel = round(max(height, _LEAST) * _PANEL)
    page = PillowImage.new("RGB", ((width + panel + 1) // 2 * 2, (height + 1) // 2 * 2), _SHADE)
    page.paste(PillowImage.fromarray(prediction.image).resize((width, height)), (0, 0))
    draw = ImageDraw.Draw(page)
    if prediction.face is None:
        draw.text((width + 8, 6), prediction.reason[:32], fill=_BOX, font=ImageFont.load_default(13))
        return np.asarray(page)
    x, y, w, h = (value * scale for value in prediction.face.box)
    draw.rectangle((x, y, x + w - 1, y + h - 1), outline=_BOX, width=max(2, height // 240))
    _bars(draw, width, panel, _strengths(row, (height - 8) // _STEP), row.decisions)
    return np.asarray(page)


def _strengths(row: Row, room: int) -> dict[str, float]:
    """The strongest Action Units, in order."""
    found = {**row.probabilities, **{code: value / 5 for code, value in row.amounts.items()}}
    kept = sorted(found, key=lambda code: -found[code])[:room]
    return {code: value for code, value in found.items() if code in kept}


def _bars(
    draw: ImageDraw.ImageDraw,
    left: int,
    width: int,
    strengths: Mapping[str, float],
    decisions: Mapping[str, int],
) -> None:
    font = ImageFont.load_default(13)
    label = font.getlength("AU1+2L ") + 8
    for number, (code, value) in enumerate(strengths.items()):
        top = 4 + number * _STEP
        bright = decisions.get(code, value >= 0.5)
        draw.text((left + 6, top), code, fill="white" if bright else (150, 156, 164), font=font)
        start, room = left + label, width - label - 8
        draw.rectangle((start, top + 2, start + room, top + _STEP - 5), fill=(48, 52, 60))
        if value > 0:
            colour = _BAR if bright else (70, 96, 122)
            draw.rectangle((start, top + 2, start + room * min(value, 1), top + _STEP - 5), fill=colour)


class AnnotatedVideo:
    """Writes annotated frames to a video under a temporary name, which `close` makes the final one.

    Args:
        path: of the video, ending in .mp4.
        rate: frames a second.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path = path
        self._draft = path.with_name(f"{path.stem}.tmp{path.suffix}")
        self._rate = rate
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def write(self, frame: Image) -> None:
        """Add a frame RGB uint8 [H, W, 3]; all have the size of the first."""
        if self._writer is None:
            self._size = (frame.shape[1], frame.shape[0])
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._draft), code, self._rate, self._size)
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file; without a frame there is none."""
        if self._writer is not None:
            self._writer.release()
            self._draft.replace(self.path)
