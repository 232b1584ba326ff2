"""SAMM: spontaneous micro-movements of people of 13 ethnicities at 200 frames a second."""

from __future__ import annotations

from datamodules.dataset_options.other import SAMMOptions
from datamodules.micro import MicroExpressions


class SAMM(MicroExpressions):
    """SAMM: 159 micro-expressions of 29 of its 32 people; the apex frame carries the units.

    **Source**: Davison et al., IEEE TAC 2018. **Licence**: research only, signed; ask at
    http://www2.docm.mmu.ac.uk/STAFF/M.Yap/dataset.php.

    **Layout**: see `SAMM.layout`. **AUs and scale**: presence of `options.units`; what a cell does not
    name is absent. **Missing code**: ``?``. Tokens carry a side and an intensity letter (L12B); the
    letters are read and dropped, since not every row has them.

    **Known traps**: **the header is on row 14** of the workbook, below a page of explanations; it is
    found by its names. **Frames below 1000 have four digits in some clips and five in others**, so frames
    are compared by number. Subject is kept as text (006) or as number (6). Protocol: leave one subject
    out.
    """

    name = "samm"
    options: SAMMOptions
    options_type = SAMMOptions
    onset_column, apex_column, offset_column = "Onset Frame", "Apex Frame", "Offset Frame"
    licence = "research only, by signed agreement: http://www2.docm.mmu.ac.uk/STAFF/M.Yap/dataset.php"
    layout = """
        <root>/SAMM_Micro_FACS_Codes_v2.xlsx    row 14: Subject, Filename, Apex Frame, ...
        <root>/006/006_1_2/006_05562.jpg        person, clip, frame 5562
    """

    def person(self, number: int) -> str:
        """Such as 006."""
        return f"{number:03d}"
