"""What the two collections of micro-expressions share: a workbook of clips, and the frame of the apex."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from datamodules.action_units import UNKNOWN, Scale
from datamodules.dataset_options.other import MicroOptions
from datamodules.errors import DatasetError
from datamodules.facs_notation import presence, read_coding
from datamodules.images import inside
from datamodules.index import Index, IndexRows
from datamodules.labels import folders_at, numbered
from datamodules.spreadsheet import read_columns, whole_number
from datamodules.still_pictures import StillPictures, codes_of


class MicroExpressions(StillPictures):
    """Clips of micro-expressions; the frames at and around the apex carry the units of their clip."""

    options: MicroOptions
    aus = codes_of(MicroOptions().units)
    scale = Scale.PRESENCE
    protocols: ClassVar[tuple[str, ...]] = ("leave_one_subject_out", "people_folds", "own_folds")
    onset_column: ClassVar[str]
    apex_column: ClassVar[str]
    offset_column: ClassVar[str]

    @abstractmethod
    def person(self, number: int) -> str:
        """The folder of a person."""

    def label_files(self) -> Iterable[Path]:
        """The workbook, and the folders of the clips."""
        return (self.below(self.options.table), *folders_at(self.below(self.options.pictures), 2))

    def build_index(self) -> Index:
        """The frames of every clip that has an apex and units."""
        table, pictures = self.below(self.options.table), self.below(self.options.pictures)
        frames = (self.onset_column, self.apex_column, self.offset_column)
        rows = IndexRows()
        for line, cells in read_columns(table, ("Subject", "Filename", *frames, "Action Units")):
            origin, clip = f"{table}:{line}", cells["Filename"]
            labels = self._labels(cells["Action Units"], origin)
            onset, apex, offset = (whole_number(cells[name]) for name in frames)
            if apex is None or (onset or 0) > apex or (offset is not None and offset < apex):
                told = ", ".join(f"{name} '{cells[name]}'" for name in frames)
                message = (
                    f"{origin}: no frame of clip {clip} is known to be its apex ({told}): it is left out"
                )
                self.findings.add("unknown-label", origin, message)
                continue
            if labels is None:
                continue
            person = self._person(cells["Subject"], origin)
            relative = f"{self.place(pictures)}/{person}/{clip}"
            inside(self.root(), relative, origin)  # a clip that is called ../.. is refused, not listed
            folder = self.root() / relative
            there = numbered(folder) if folder.is_dir() else {}
            if apex not in there:
                message = f"{origin}: {folder} has no frame {apex}, the apex: unpack the pictures again"
                self.findings.add("missing-frame", origin, message)
                continue
            around = range(max(onset or 0, apex - self.options.around), apex + self.options.around + 1)
            for number in around:
                if number in there and (offset is None or number <= offset):
                    sample_id = f"{person}/{clip}/{number:05d}"
                    rows.add(sample_id, person, self.place(there[number]), labels, origin, clip=clip)
        return rows.index(len(self.coded_aus()))

    def _labels(self, text: str, origin: str) -> list[float] | None:
        """Presence of each unit; None where none is known, which is reported."""
        coding = read_coding(text)
        labels = None if coding is None else presence(coding, self.coded_aus())
        if labels is None or all(value == UNKNOWN for value in labels):
            self.findings.add(
                "unknown-label", origin, f"{origin}: '{text}' says of no unit whether it is there"
            )
            return None
        return labels

    def _person(self, cell: str, origin: str) -> str:
        number = whole_number(cell.lower().removeprefix("sub"))
        if number is None:
            raise DatasetError(
                f"{origin}: '{cell}' in column Subject is no number of a person: correct the cell"
            )
        return self.person(number)
