"""BP4D-Spontaneous: 41 people, 8 tasks each, the most expressive seconds coded frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from datamodules import bp4d_files, sequences
from datamodules.action_units import BP4D_AUS, Scale
from datamodules.bp4d_pictures import find_packaging, tell_zero_based
from datamodules.canonical import BP4D_FERA2015, BP4D_FOLDS
from datamodules.dataset_options.core import BP4DOptions
from datamodules.expected_counts import Expected
from datamodules.frame_tables import FrameTable
from datamodules.index import Index, IndexRows
from datamodules.jaanet_frames import BP4D_WITHOUT_LANDMARKS, inside_ranges
from datamodules.protocols import Protocol
from datamodules.raw_pictures import Places
from datamodules.sequence_dataset import SequenceDataset


class BP4D(SequenceDataset):
    """BP4D: spontaneous expressions of 41 people, 12 Action Units (or 5 as levels) in every coded frame.

    **Source**: Zhang et al., "BP4D-Spontaneous: a high-resolution spontaneous 3D dynamic facial
    expression database", Image and Vision Computing 32 (2014). **Licence**: research only, signed; ask
    Binghamton University.

    **Layout**: three packagings, see `BP4D.layout`. **AUs and scale**: occurrence of 1 2 4 6 7 10 12 14
    15 17 23 24 as 0 or 1, 146,847 coded frames; intensity of 6 10 12 14 17 as 0-5 with
    ``options.labels=intensity``. **Missing code**: 9 in both, UNKNOWN here.

    **Known traps**: occurrence files have two sorts of header (`datamodules/bp4d_files.py`); picture
    names have 3 or 4 digits, mixed; an intensity file may have fewer frames than the occurrence file;
    whether picture f or f - 1 belongs to frame f is disputed for some copies (``options.frame_offset``; a
    warning says when a folder begins at 0); the AVI packaging has its own task numbers, and its frames
    count from 1.
    """

    name = "bp4d"
    aus = BP4D_AUS
    protocols = ("canonical_folds", "fera2015", "leave_one_subject_out", "own_folds")
    licence = "research only, signed agreement; ask Binghamton University (binghamton.edu, Lijun Yin)"
    layout = """
        <root>/AUCoding/AU_OCC/F001_T1.csv                  or flat: AUCoding/F001_T1.csv
        <root>/AUCoding/AU_INT/AU06/F001_T1_AU06.csv        or AU-Intensity-Codes3.0/AU06/... (options.labels)
        and pictures in one of three packagings (options.pictures):
        <root>/Sequences(2D+3D)/F001/T1/2440.jpg            disk; also Sequences_2D+3D
        <root>/BP4D-training/F001/T1/2440.jpg               fera
        <root>/**/2F01_01.avi                               avi
        All of it may lie up to two folders deeper; upper and lower case do not matter.
    """

    options: BP4DOptions
    options_type = BP4DOptions
    known_protocols: ClassVar[Mapping[str, Protocol]] = {one.name: one for one in (BP4D_FOLDS, BP4D_FERA2015)}

    def coded_aus(self) -> tuple[str, ...]:
        """The 12 of the occurrence files or the 5 of the intensity files."""
        return self.aus if self.options.labels == "occurrence" else bp4d_files.INTENSITY_AUS

    def coded_scale(self) -> Scale:
        """As `options.labels` says."""
        return Scale.PRESENCE if self.options.labels == "occurrence" else Scale.LEVEL

    def label_files(self) -> Iterable[Path]:
        """The label files, and the folders or videos of the sequences."""
        pictures = [] if self.options.pictures == "none" else self._packaging()[1].values()
        return [*bp4d_files.label_files(self.root(), self.options.labels), *pictures]

    def expected(self) -> Expected | None:
        """The published counts, for the occurrence labels of all frames."""
        options = self.options
        other = options.labels != "occurrence" or options.drop_occluded or options.drop_no_landmarks
        return None if other else super().expected()

    def build_index(self) -> Index:
        """Every coded frame that has a picture."""
        rows = IndexRows()
        options = self.options
        kind, pictures = ("none", {}) if options.pictures == "none" else self._packaging()
        shift = options.frame_offset - (kind == "avi")  # a decoder counts from 0
        labelled: set[str] = set()
        zero_based: list[str] = []
        for name, table in self._tables():
            places: Places | None = None
            if kind != "none":
                path = pictures.get(name)
                read = self.raw.of_video if kind == "avi" else self.raw.of_folder
                places = {} if path is None else read(path)
            if kind in ("disk", "fera") and places and min(places) == 0 and options.frame_offset == 0:
                zero_based.append(name)
            coded = sequences.Sequence(name, name.partition("/")[0], table)
            if kind == "avi" and name in pictures and places:
                sequences.tell_short_video(self.findings, coded, pictures[name], places, shift)
            sequences.add_sequence(rows, self.findings, coded, places, shift)
            labelled.add(name)
        sequences.tell_unlabelled(self.findings, pictures, labelled)
        tell_zero_based(self.name, zero_based)
        return rows.index(len(self.coded_aus()))

    def _packaging(self) -> tuple[str, dict[str, Path]]:
        return find_packaging(self.root(), self.options.pictures)

    def _tables(self) -> Iterator[tuple[str, FrameTable]]:
        """The labels of every sequence, without the frames that the options leave out."""
        root, options = self.root(), self.options
        if options.labels == "intensity":
            for name, files in bp4d_files.intensity_files(root, self.findings).items():
                yield name, self._with_landmarks(name, bp4d_files.read_intensity(files))
            return
        for name, path in bp4d_files.occurrence_files(root, self.findings).items():
            table = bp4d_files.read_occurrence(path, self.aus, options.drop_occluded)
            if bp4d_files.OCCLUDED in table.aus:
                table = table.rows(table.labels[:, -1] != 1)
                table = FrameTable(table.frames, table.labels[:, :-1], table.origins, table.aus[:-1])
            yield name, self._with_landmarks(name, table)

    def _with_landmarks(self, name: str, table: FrameTable) -> FrameTable:
        if not self.options.drop_no_landmarks:
            return table
        return table.rows(~inside_ranges(table.frames, BP4D_WITHOUT_LANDMARKS.get(name, ())))
