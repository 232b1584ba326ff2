"""RAF-AU: blended expressions of faces from the web, with units of one side marked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from datamodules.action_units import Scale
from datamodules.dataset_options.other import RAFAUOptions
from datamodules.facs_notation import presence, read_coding
from datamodules.index import Index, IndexRows
from datamodules.labels import natural, numbered, read_table
from datamodules.still_pictures import StillPictures, codes_of

LABELS = "RAFAU_label.txt"


class RAFAU(StillPictures):
    """RAF-AU: 4,601 pictures from the web (those of RAF-ML), coded by two experts.

    **Source**: Yan et al., ACCV 2020. **Licence**: research only, signed; ask at
    http://www.whdeng.cn/RAF.

    **Layout**: see `RAFAU.layout`. **AUs and scale**: presence of `options.units`, by default the 13 of
    the FG 2024 protocol; what a line does not name is absent. **Missing code**: 'null' (253 lines). It is
    no neutral face: such faces show ordinary emotions, and OpenGraphAU leaves them out, so they are left
    out here too unless `options.null` is absent.

    **Known traps**: 77 different tokens, many with **L or R before the number** for one side of the face.
    Most users drop the side (the default); with `options.sides=keep`, L12 is AU12L, and a plain 12 is
    AU12L and AU12R. Whose left is meant is not said; FACS means the person's own. Lines have blanks at
    their ends. Pictures are named 0001_aligned.jpg with four digits; the numbers are compared, not the
    names. Nobody was identified: **every picture counts as a person of its own**, and the same face may
    be in two parts. There is no official split; OpenGraphAU's lists are not public.
    """

    name = "raf_au"
    options: RAFAUOptions
    options_type = RAFAUOptions
    aus = codes_of(RAFAUOptions().units)
    scale = Scale.PRESENCE
    protocols = ("people_folds", "own_folds")
    licence = "research only, by signed agreement: http://www.whdeng.cn/RAF"
    layout = """
        <root>/RAFAU_label.txt              lines "0001.jpg 1+2+L12+25" or "0001.jpg null"
        <root>/aligned/0001_aligned.jpg     the pictures
        <root>/RAFAU_landmark.txt           not read, may be absent
    """

    def label_files(self) -> Iterable[Path]:
        """The table, and the folder of the pictures."""
        return (self.below(LABELS), self.below(self.options.pictures))

    def build_index(self) -> Index:
        """One row per line that is coded and whose picture is there."""
        table = self.below(LABELS)
        pictures = numbered(self.below(self.options.pictures))
        rows = IndexRows()
        for line, cells in read_table(table):
            origin = f"{table}:{line}"
            labels = self._labels("".join(cells[1:]), origin)
            number = natural(Path(cells[0]).stem)
            if labels is None:
                continue
            if number not in pictures:
                message = (
                    f"{origin}: {self.options.pictures} has no picture of number {number}: unpack it again"
                )
                self.findings.add("missing-image", origin, message)
                continue
            rows.add(f"{number:04d}", f"{number:04d}", self.place(pictures[number]), labels, origin)
        return rows.index(len(self.coded_aus()))

    def _labels(self, text: str, origin: str) -> list[float] | None:
        """Presence of each unit; None for a line without a label that can be used, which is reported."""
        codes = self.coded_aus()
        if text.lower() == "null" and self.options.null == "absent":
            return [0.0] * len(codes)
        coding = None if text.lower() in ("null", "") else read_coding(text)
        if coding is None:
            self.findings.add(
                "unknown-label", origin, f"{origin}: '{text}' names no units: the picture is left out"
            )
            return None
        return presence(coding, codes)
