"""DISFA: 27 people watch a video of four minutes; 12 Action Units as levels in each of 4,845 frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from datamodules.canonical import DISFA_FOLDS
from datamodules.dataset_options.core import DISFAOptions
from datamodules.disfa_coding import DISFACoding
from datamodules.disfa_files import frame_folders, label_files, read_level_files, video_files
from datamodules.errors import DatasetError
from datamodules.expected_counts import Expected
from datamodules.frame_tables import FrameTable, joined
from datamodules.index import Index, IndexRows
from datamodules.jaanet_frames import DISFA_BAD_LANDMARKS, inside_ranges
from datamodules.protocols import Protocol
from datamodules.raw_pictures import Places
from datamodules.sequences import Sequence, add_sequence, tell_unlabelled


class DISFA(DISFACoding):
    """DISFA: spontaneous expressions of 27 people, 12 Action Units as levels (or 8 as present or absent).

    **Source**: Mavadati et al., "DISFA: a spontaneous facial action intensity database", IEEE
    Transactions on Affective Computing 4 (2013). **Licence**: research only, signed by a professor; ask
    the University of Denver (mohammadmahoor.com/disfa).

    **Layout**: see `DISFA.layout`. **AUs and scale**: 1 2 4 5 6 9 12 15 17 20 25 26 as 0-5, 130,814
    frames; detection uses 8 of them, present from 2 on (``options.coding=detection``; OpenGraphAU,
    OpenFace and AU_R-CNN say from 1 on, ``options.threshold``). **Missing code**: none.

    **Known traps**: label row k (from 1) is frame k - 1 of the video; SN010 has 4,844 rows, and the
    widely printed 130,788 is wrong; one file for every Action Unit, whose order in a listing is not that
    of their numbers; the right camera's folder has two spellings, files end in _comp or _Comp; ME-GraphAU
    uses the left camera, LibreFace and FMAE-IAT the right one; some decoders give 4,844 or 4,846 frames.
    JAA-Net leaves out 4,670 frames (``options.drop_bad_landmarks``). Landmark_Points is not read, so its
    holes and extra files do not matter.
    """

    name = "disfa"
    protocols = ("canonical_folds", "leave_one_subject_out", "own_folds")
    licence = "research only, signed agreement; ask the University of Denver (mohammadmahoor.com/disfa)"
    layout = """
        <root>/ActionUnit_Labels/SN001/SN001_au1.txt           lines "frame,intensity", frames from 1
        <root>/Videos_LeftCamera/LeftVideoSN001_comp.avi       the camera of options.camera
        <root>/Video_RightCamera/RightVideoSN001_comp.avi      or Videos_RightCamera
        or, for the videos, extracted frames:
        <root>/<options.frames>/SN001/0.png                    any width of the number; options.first_frame
    """
    options: DISFAOptions
    options_type = DISFAOptions
    known_protocols: ClassVar[Mapping[str, Protocol]] = {DISFA_FOLDS.name: DISFA_FOLDS}

    def label_files(self) -> Iterable[Path]:
        """The label files, and the videos or folders of frames."""
        files = label_files(self.root(), self.coded_aus())
        return [*(path for codes in files.values() for path in codes.values()), *self._sources().values()]

    def expected(self) -> Expected | None:
        """The published counts, for all frames and the usual threshold."""
        other = self.options.drop_bad_landmarks or self.options.threshold != 2
        return None if other else super().expected()

    def build_index(self) -> Index:
        """Every coded frame that has a picture."""
        rows, sources = IndexRows(), self._sources()
        labelled = label_files(self.root(), self.coded_aus())
        tell_unlabelled(self.findings, sources, labelled)
        for person, files in labelled.items():
            tables = read_level_files(files)
            table = self.coded(joined(tables))
            for one, path in zip(tables, files.values(), strict=True):
                if len(one) < len(table):
                    said = (
                        f"{path} has {len(one)} of {len(table)} frames: {one.aus[0]} is unknown in the others"
                    )
                    self.findings.add("short-label-file", path, said, len(table) - len(one))
            places, shift = None, -1
            if self.options.pictures:
                source = sources.get(person)
                places, shift = self._places(source)
                self._doubt_the_count(table, source, places)
                table = self._clipped(table, person, f"in {source}", places, shift)
            if self.options.drop_bad_landmarks:
                table = table.rows(~inside_ranges(table.frames, DISFA_BAD_LANDMARKS.get(person, ())))
            add_sequence(rows, self.findings, Sequence(person, person, table), places, shift)
        return rows.index(len(self.coded_aus()))

    def _sources(self) -> dict[str, Path]:
        """The video or the folder of frames of every person."""
        if not self.options.pictures:
            return {}
        root, options = self.root(), self.options
        videos = {} if options.frames else video_files(root, options.camera)
        found = videos or frame_folders(root, options.frames)
        if not found:
            wanted = options.frames or f"Videos_{options.camera.capitalize()}Camera"
            raise DatasetError(
                f"dataset 'disfa' finds no pictures in {root / wanted}: bring the videos, name the folder of "
                "extracted frames in options.frames, or read labels alone with options.pictures=false"
            )
        return found

    def _places(self, source: Path | None) -> tuple[Places, int]:
        """The pictures of one person, and picture number minus frame number of the labels."""
        if source is None:
            return {}, -1
        if source.is_file():
            return self.raw.of_video(source), -1
        places, first = self.raw.of_folder(source), self.options.first_frame
        begins_with = min(places, default=first)
        whole = len(places) == max(places, default=0) - begins_with + 1  # a hole at 0 alone is no other count
        if begins_with == 1 - first and (whole or first):
            raise DatasetError(
                f"the frames in {source} are counted from {begins_with}, so every label would stand one "
                f"frame off: set data.datasets.disfa.options.first_frame={begins_with}"
            )
        return places, first - 1

    def _doubt_the_count(self, table: FrameTable, source: Path | None, places: Places) -> None:
        """Report frames 1 to N, with holes, for N rows: they are counted from 1 unless one of them lies."""
        if source is None or source.is_file() or self.options.first_frame or not places:
            return
        if min(places) == 1 and max(places) == int(table.frames.max(initial=0)):
            self.findings.add(
                "frame-count",
                source,
                f"the frames in {source} end with {max(places)}, as the labels do, so they may be counted "
                "from 1 and every label stand one frame off: look at one, and set "
                "data.datasets.disfa.options.first_frame=1 if so",
                len(places),
            )

    def _clipped(self, table: FrameTable, person: str, where: str, places: Places, shift: int) -> FrameTable:
        """The rows up to the last picture: decoders differ by one frame, more than that is reported."""
        rows, pictures = int(table.frames.max(initial=0)), max(places, default=shift) - shift
        if places and abs(rows - pictures) > 1:
            self.findings.add(
                "frame-count",
                person,
                f"{person} of dataset 'disfa' has {rows} label rows and {pictures} pictures {where}: only "
                "frames that have both are read, look whether they are whole",
                abs(rows - pictures),
            )
        return table.rows(table.frames <= pictures) if places else table
