"""BP4D+ (v0.2): 140 people, 10 tasks, of which T1, T6, T7 and T8 are coded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Final

from datamodules import bp4d_files, sequences
from datamodules.action_units import BP4D_AUS, Scale, code_of
from datamodules.bp4d_pictures import as_archives, as_videos, in_folders, tell_zero_based
from datamodules.canonical import BP4D_PLUS_FOLDS
from datamodules.dataset_options.core import BP4DPlusOptions
from datamodules.errors import DatasetError
from datamodules.expected_counts import Expected
from datamodules.frame_tables import FrameTable
from datamodules.index import Index, IndexRows
from datamodules.layout import below
from datamodules.protocols import Protocol
from datamodules.raw_pictures import Places
from datamodules.sequence_dataset import SequenceDataset

_NUMBERS = "1 2 4 5 6 7 9 10 11 12 13 14 15 16 17 18 19 20 22 23 24 27 28 29 30 31 32 33 34 35 36 37 38 39"

ALL_CODED: Final = tuple(code_of(int(number)) for number in _NUMBERS.split())
"""The 34 Action Units and descriptors of the occurrence files, in their order."""

SHORT_OF_PICTURES: Final = "F041/T7"
"""Has more coded frames than pictures in every copy."""


class BP4DPlus(SequenceDataset):
    """BP4D+: spontaneous expressions of 140 people in four coded tasks.

    **Source**: Zhang et al., "Multimodal spontaneous emotion corpus for human behavior analysis", CVPR
    2016. **Licence**: research only, signed; ask Binghamton University.

    **Layout**: see `BP4DPlus.layout`; the pictures are read inside their zip files, or unpacked. **AUs
    and scale**: occurrence of 34 Action Units as 0 or 1, by default the 12 of BP4D; intensity of 6 10 12
    14 17 as 0-5. 197,756 coded frames by FMAE-IAT's count (papers also print 197,875). **Missing code**:
    9, UNKNOWN here.

    **Known traps**: the columns of the occurrence files are named and not at the place of their number;
    whether picture f or f - 1 belongs to frame f is disputed (``options.frame_offset``; a warning says
    when pictures begin at 0); picture names have 3 digits for 99 people and 4 for 41; F041/T7 has fewer
    pictures than labels; folders of tasks that do not exist (Physiology/F042/T11) are passed over; **F001
    of BP4D and F001 of BP4D+ are different people**, which is why a subject carries the name of its
    dataset; there is no canonical split, FMAE-IAT's random one is the default.
    """

    name = "bp4d_plus"
    aus = BP4D_AUS
    protocols = ("fmae_folds", "leave_one_subject_out", "own_folds")
    licence = "research only, signed agreement; ask Binghamton University (binghamton.edu, Lijun Yin)"
    layout = """
        <root>/AUCoding/AU_OCC/F001_T1.csv
        <root>/AUCoding/AU_INT/AU06/F001_T1_AU06.csv     (options.labels=intensity)
        <root>/2D+3D/F001.zip                            members F001/T1/0001.jpg
        or <root>/2D+3D/F001/T1/0001.jpg                 or <root>/2D+3D/F001_T1.mp4
        Of one person, the first of these three that is there is read. Upper and lower case do not matter.
    """
    options: BP4DPlusOptions
    options_type = BP4DPlusOptions
    known_protocols: ClassVar[Mapping[str, Protocol]] = {BP4D_PLUS_FOLDS.name: BP4D_PLUS_FOLDS}

    def coded_aus(self) -> tuple[str, ...]:
        """12, 34 or 5 codes, as `options.labels` says."""
        chosen = {"all_occurrence": ALL_CODED, "intensity": bp4d_files.INTENSITY_AUS}
        return chosen.get(self.options.labels, self.aus)

    def coded_scale(self) -> Scale:
        """As `options.labels` says."""
        return Scale.LEVEL if self.options.labels == "intensity" else Scale.PRESENCE

    def label_files(self) -> Iterable[Path]:
        """The label files, and the archives, folders or videos of the pictures."""
        pictures = [] if self.options.pictures == "none" else self._sources()
        return [*bp4d_files.label_files(self.root(), self.options.labels), *pictures]

    def expected(self) -> Expected | None:
        """The published counts, for occurrence labels."""
        return None if self.options.labels == "intensity" else super().expected()

    def build_index(self) -> Index:
        """Every coded frame that has a picture."""
        rows = IndexRows()
        zero_based: list[str] = []
        pictures = None if self.options.pictures == "none" else self._pictures()
        for name, table in self._tables():
            places, counted_from = (None, 0) if pictures is None else pictures.get(name, ({}, 0))
            shift = self.options.frame_offset - counted_from
            if places and min(places) == shift == 0:
                zero_based.append(name)
            coded = sequences.Sequence(name, name.partition("/")[0], table)
            surplus = len(table) if name == SHORT_OF_PICTURES else 0
            sequences.add_sequence(rows, self.findings, coded, places, shift, surplus)
        tell_zero_based(self.name, zero_based)
        return rows.index(len(self.coded_aus()))

    def _tables(self) -> Iterable[tuple[str, FrameTable]]:
        if self.options.labels == "intensity":
            for name, files in bp4d_files.intensity_files(self.root(), self.findings).items():
                yield name, bp4d_files.read_intensity(files)
            return
        for name, path in bp4d_files.occurrence_files(self.root(), self.findings).items():
            yield name, bp4d_files.read_occurrence(path, self.coded_aus())

    def _folder(self) -> Path:
        folder = below(self.root(), "2D+3D", "2D_3D")
        if folder is None:
            raise DatasetError(
                f"dataset '{self.name}' finds no folder 2D+3D below {self.root()}: bring F001.zip and "
                "the others there, or read labels alone with options.pictures=none"
            )
        return folder

    def _sources(self) -> list[Path]:
        folder = self._folder()
        found = (as_archives(folder), in_folders(folder), as_videos(folder))
        return [folder, *(path for paths in found for path in paths.values())]

    def _pictures(self) -> dict[str, tuple[Places, int]]:
        """Pictures of every sequence, and 1 where they are frames that a decoder counts from 0."""
        folder = self._folder()
        found: dict[str, tuple[Places, int]] = {}
        for person, archive in as_archives(folder).items():
            for task, places in self.raw.of_archive(archive).items():
                found[f"{person}/{task}"] = places, 0
        for name, path in in_folders(folder).items():
            if name not in found:
                found[name] = self.raw.of_folder(path), 0
        for name, path in as_videos(folder).items():
            if name not in found:
                found[name] = self.raw.of_video(path), 1
        return found
