"""Pictures of predictions: a card of face and bars, and videos with the face's box and a panel of bars."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, groupby
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from aullava.evaluation.draw import answers_card
from aullava.inference.pictures import Image
from aullava.inference.predictor import Prediction
from datamodules.errors import DatasetError
from datamodules.video import frame_rate, stream

_BOX, _BAR, _SHADE = (255, 176, 32), (64, 160, 232), (18, 20, 24)
_PANEL: Final = 0.45  # the panel's width as a share of the frame's height
_LEAST: Final = 480  # smaller frames are enlarged to this height, for the letters' sake
_STEP: Final = 20  # height of a bar with its letters

Cells = Mapping[str, str]
"""A row of a table of predictions, by column."""


def card(prediction: Prediction) -> Image | None:
    """The face as the model saw it, beside the bars of its answers; None without a face."""
    if prediction.face is None:
        return None
    return answers_card(prediction.face.image, prediction.answers)


def annotated(image: Image, row: Cells) -> Image:
    """A frame with the face's box and a panel with a bar for each Action Unit, 0 to 1.

    The bar is the amount if the run gives one, else the probability of presence; what counts as present is
    bright. Where not all Action Units find place, the strongest stand there, in their usual order.

    Args:
        image: the frame, RGB uint8 [H, W, 3].
        row: of it.

    Returns:
        RGB uint8 at least 480 pixels high, wider than the frame by the panel; even sides, as video encoders
        want them.
    """
    scale = max(1.0, _LEAST / image.shape[0])
    height, width = (round(side * scale) for side in image.shape[:2])
    panel = round(max(height, _LEAST) * _PANEL)
    page = PillowImage.new("RGB", ((width + panel + 1) // 2 * 2, (height + 1) // 2 * 2), _SHADE)
    page.paste(PillowImage.fromarray(image).resize((width, height)), (0, 0))
    draw = ImageDraw.Draw(page)
    if row["success"] != "1":
        draw.text((width + 8, 6), row["reason"][:32], fill=_BOX, font=ImageFont.load_default(13))
        return np.asarray(page)
    x, y, w, h = (float(row[f"box_{side}"]) * scale for side in ("x", "y", "width", "height"))
    draw.rectangle((x, y, x + w - 1, y + h - 1), outline=_BOX, width=max(2, height // 240))
    _bars(draw, width, panel, _strengths(row, (height - 8) // _STEP), row)
    return np.asarray(page)


def _strengths(row: Cells, room: int) -> dict[str, float]:
    """The strongest Action Units, in order."""
    found: dict[str, float] = {}
    for name, value in row.items():  # amounts stand behind probabilities
        if name.endswith(("_p", "_r")) and value:
            found[name[:-2]] = float(value) / (5 if name.endswith("_r") else 1)
    kept = sorted(found, key=lambda code: -found[code])[:room]
    return {code: value for code, value in found.items() if code in kept}


def _bars(
    draw: ImageDraw.ImageDraw, left: int, width: int, strengths: Mapping[str, float], row: Cells
) -> None:
    font = ImageFont.load_default(13)
    label = font.getlength("AU01+2L ") + 8
    for number, (code, value) in enumerate(strengths.items()):
        top = 4 + number * _STEP
        decision = row.get(f"{code}_c")
        bright = decision == "1" if decision else value >= 0.5
        draw.text((left + 6, top), code, fill="white" if bright else (150, 156, 164), font=font)
        start, room = left + label, width - label - 8
        draw.rectangle((start, top + 2, start + room, top + _STEP - 5), fill=(48, 52, 60))
        if value > 0:
            colour = _BAR if bright else (70, 96, 122)
            draw.rectangle((start, top + 2, start + room * min(value, 1), top + _STEP - 5), fill=colour)


def annotate_videos(table: Path, folder: Path) -> None:
    """An annotated copy of every video of a finished table; one that is there already stays.

    They are drawn from the table and not while it grows: so a table that was gone on with after a kill, or
    written by several processes, has whole ones too.

    Args:
        table: the predictions.
        folder: gets ``<number of the row>_<name>.mp4`` for each video, without sound.
    """
    with table.open(newline="", encoding="utf-8") as file:
        numbered = enumerate(csv.DictReader(file), start=1)
        for name, group in groupby(numbered, lambda one: one[1]["file"] if one[1]["frame"] else ""):
            if name:
                number, first = next(group)
                path = folder / f"{number:04d}_{Path(name).stem}.mp4"
                if not path.exists():
                    _annotate(Path(name), chain([first], (row for _, row in group)), path)


def _annotate(video: Path, rows: Iterator[Cells], path: Path) -> None:
    with _writer(path, frame_rate(video)) as write:
        for row, (_, read) in zip(rows, stream(video), strict=False):  # frames were read to the last row
            try:
                write(annotated(read(), row))
            except DatasetError:
                continue  # its row says why


@contextmanager
def _writer(path: Path, rate: float) -> Iterator[Callable[[Image], None]]:
    """Adds frames RGB uint8 of one size to a video, which gets its name when it is whole."""
    draft = path.with_name(f"{path.stem}.tmp{path.suffix}")
    writer: cv2.VideoWriter | None = None

    def write(frame: Image) -> None:
        nonlocal writer
        if writer is None:
            code, size = cv2.VideoWriter.fourcc(*"mp4v"), (frame.shape[1], frame.shape[0])
            writer = cv2.VideoWriter(str(draft), code, rate, size)
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    try:
        yield write
        if writer is not None:
            writer.release()
            draft.replace(path)
    finally:
        if writer is not None:
            writer.release()
        draft.unlink(missing_ok=True)
