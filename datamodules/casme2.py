"""CASME II: spontaneous micro-expressions at 200 frames a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from datamodules.dataset_options.other import CASME2Options
from datamodules.micro import MicroExpressions
from datamodules.protocols import Protocol

_TESTED = ("sub08", "sub09", "sub10", "sub15", "sub23", "sub26")


class CASME2(MicroExpressions):
    """CASME II: 255 clips of 26 people, each with onset, apex and offset; the apex frame carries the units.

    **Source**: Yan et al., PLoS ONE 2014. **Licence**: research only, signed; ask at
    http://casme.psych.ac.cn/casme/e.

    **Layout**: see `CASME2.layout`. **AUs and scale**: presence of `options.units`, since no paper fixes
    a list; what a cell does not name is absent. **Missing code**: ``?`` (alone: nothing is known, the
    clip is left out; beside other units: what is not named is UNKNOWN).

    **Known traps**: the table has columns without a name. **The apex is '/' in some rows**: no frame is
    known to show the units, the clip is left out. L10 is the left side of AU10 (`options.sides`). Subject
    is a number, its folder is sub01. Frame names are not padded (img46.jpg, reg_img46.jpg), so they are
    compared by number. A micro-expression is weak: units count as present that are hard to see.
    `options.around` adds frames next to the apex. Protocols: leave one subject out (default), or
    OpenGraphAU's tested people (its own validation people are not used; its code misses sub07 by a typing
    error, here sub07 trains). The objective classes (another workbook) are not read.
    """

    name = "casme2"
    options: CASME2Options
    options_type = CASME2Options
    onset_column, apex_column, offset_column = "OnsetFrame", "ApexFrame", "OffsetFrame"
    protocols = (*MicroExpressions.protocols, "opengraphau")
    known_protocols: ClassVar[Mapping[str, Protocol]] = {
        "opengraphau": Protocol("opengraphau", 1, (_TESTED,))
    }
    licence = "research only, by signed agreement: http://casme.psych.ac.cn/casme/e"
    layout = """
        <root>/CASME2-coding-20140508.xlsx                      Subject, Filename, ApexFrame, ...
        <root>/Cropped/sub01/EP02_01f/reg_img46.jpg             frame 46 of a clip, or, by options.pictures,
        <root>/CASME2_RAW_selected/sub01/EP02_01f/img46.jpg     the same uncropped
    """

    def person(self, number: int) -> str:
        """Such as sub01."""
        return f"sub{number:02d}"
