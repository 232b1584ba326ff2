"""Draws plots: as SVG text for a page, sharp at any size, or all of them as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from PIL import Image, ImageDraw, ImageFont

from datamodules.check_plots import INK, WHITE, Box, Line, Plot, Shape, Word

_FONT = 'font-family="system-ui, sans-serif"'
_SIZE, _TURN = 11, 60  # of words in pixels, and of turned words in degrees
_TWICE = 2  # pixels of the picture for each of the plot: legible on a dense screen and on paper
_EDGE, _LINE, _HEAD = 24, 20, 30  # around the page, of a line of text, above a plot for its title
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def as_svg(plot: Plot) -> str:
    """The plot below its title, which may be longer than the plot is wide."""
    drawn = "".join(_shape(shape) for shape in plot.shapes)
    title = f"<figcaption>{escape(plot.title)}</figcaption>" if plot.title else ""
    return (
        f'<figure>{title}<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {plot.width} {plot.height}" '
        f'width="{plot.width}" role="img" {_FONT}>{drawn}</svg></figure>'
    )


def as_picture(lines: Sequence[str], plots: Sequence[Plot]) -> Image.Image:
    """One page: lines of text, the first one large, and the plots below each other.

    Returns:
        RGB, as high as the plots need.
    """
    wide = max([1200, *(plot.width + 2 * _EDGE for plot in plots)])
    tall = 2 * _EDGE + _LINE * (len(lines) + 1) + sum(plot.height + _HEAD for plot in plots)
    page = Image.new("RGB", (wide * _TWICE, tall * _TWICE), WHITE)
    draw, y = ImageDraw.Draw(page), _EDGE + _LINE
    for number, line in enumerate(lines):
        draw.text((_EDGE * _TWICE, y * _TWICE), line, INK, _font(13 if number else 18), "ls")
        y += _LINE
    for plot in plots:
        draw.text((_EDGE * _TWICE, (y + 16) * _TWICE), plot.title, INK, _font(13), "ls")
        for shape in plot.shapes:
            _draw(page, draw, shape, _EDGE, y + _HEAD)
        y += plot.height + _HEAD
    return page


def _shape(shape: Shape) -> str:
    if isinstance(shape, Box):
        place = f'x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" height="{shape.height:.1f}"'
        return f'<rect {place} fill="{shape.fill}"><title>{escape(shape.hint)}</title></rect>'
    if isinstance(shape, Line):
        ends = f'x1="{shape.x:.1f}" x2="{shape.end:.1f}" y1="{shape.y:.1f}" y2="{shape.y:.1f}"'
        return f'<line {ends} stroke="{shape.fill}" stroke-width="{shape.width}"/>'
    turn = f' transform="rotate({-_TURN} {shape.x:.1f} {shape.y:.1f})"' if shape.turned else ""
    return (
        f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" text-anchor="{shape.anchor}" font-size="{_SIZE}" '
        f'fill="{shape.fill}" pointer-events="none"{turn}>{escape(shape.text)}</text>'
    )


def _draw(page: Image.Image, draw: ImageDraw.ImageDraw, shape: Shape, left: int, top: int) -> None:
    x, y = (left + shape.x) * _TWICE, (top + shape.y) * _TWICE
    if isinstance(shape, Box):
        right, bottom = x + shape.width * _TWICE - 1, y + shape.height * _TWICE - 1
        if bottom >= y:  # a bar of nothing
            draw.rectangle((x, y, right, bottom), shape.fill)
    elif isinstance(shape, Line):
        draw.line((x, y, (left + shape.end) * _TWICE, y), shape.fill, shape.width * _TWICE)
    elif not shape.turned:
        draw.text((x, y), shape.text, shape.fill, _font(_SIZE), _ANCHORS[shape.anchor])
    else:
        _draw_turned(page, shape, x, y)


def _draw_turned(page: Image.Image, word: Word, x: float, y: float) -> None:
    """A rising word, drawn flat with its anchor in the middle of a square, which is then turned about it."""
    font = _font(_SIZE)
    half = int(font.getlength(word.text)) + 2 * _SIZE
    mask = Image.new("L", (2 * half, 2 * half))
    ImageDraw.Draw(mask).text((half, half), word.text, 255, font, _ANCHORS[word.anchor])
    turned = mask.rotate(_TURN, Image.Resampling.BICUBIC)
    page.paste(word.fill, (round(x) - half, round(y) - half), turned)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * _TWICE)
