"""FEAFA and FEAFA+: 24 values in [0, 1] for every frame, left and right apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.action_units import FEAFA_AUS, Scale, action_unit
from datamodules.canonical import FEAFA_FIRST_20
from datamodules.dataset_options.core import FEAFAOptions
from datamodules.disfa_files import video_files
from datamodules.errors import DatasetError, MissingRootError
from datamodules.expected_counts import Expected
from datamodules.feafa_files import DIGITS, Labelled, find_labelled, read_labels
from datamodules.findings import Findings
from datamodules.frame_tables import FrameTable, Origins
from datamodules.index import Index, IndexRows
from datamodules.labels import read_table
from datamodules.protocols import Protocol
from datamodules.raw_pictures import Places, RawPictures
from datamodules.sequence_dataset import SequenceDataset
from datamodules.sequences import Sequence as CodedSequence
from datamodules.sequences import add_sequence

OF_DISFA = "disfa:"
"""Begins the place of a picture that is read below the root of DISFA."""

PART_B_SURPLUS = 14
"""Labels of part B beyond the rows of DISFA, in every copy."""

MIRRORED = tuple(FEAFA_AUS.index(action_unit(code).mirror) for code in FEAFA_AUS)
"""The columns as a viewer would call them."""


class FEAFA(SequenceDataset):
    """FEAFA (part A) and FEAFA+ (with part B): 24 amounts of facial actions in every frame.

    **Source**: Yan et al., "FEAFA: a well-annotated dataset for facial expression analysis and 3D facial
    animation", ICME workshops 2019; Gan et al., "FEAFA+", 2021. **Licence**: research only, signed; ask
    at iiplab.net/feafa+.

    **Layout**: see `FEAFA.layout`. Part A: 127 posed sequences of 122 people, 99,356 frames. Part B: the
    27 videos of DISFA labelled anew, 130,828 frames; its pictures are DISFA's (``options.disfa_root``).
    **AUs and scale**: `datamodules.action_units.FEAFA_AUS` in the order of the files, 14 one-sided and 10
    of both sides; present from 0.5 on, a rule of ours. **Missing code**: none; frames without label have
    no file.

    **Known traps**: whether left is the subject's or the viewer's is not settled (``options.left_is``),
    nor whether part B counts frames from 0 (``options.disfa_first_frame``); its 14 labels more than DISFA
    has rows are left out where a video ends before them; the people of part B are DISFA's; 122 people are
    in 127 sequences and no list says which (``options.participants_file``), so that a split by sequence
    may have a person on both sides; the split of the 2019 paper is unknown, and the one at frame level
    that circulates leaks; whatever the abstract counts, a file has 24 values.
    """

    name = "feafa"
    aus = FEAFA_AUS
    scale = Scale.INTENSITY
    threshold = 0.5
    protocols = ("sequence_folds", "first20", "leave_one_subject_out", "own_folds")
    licence = "research only, signed agreement; ask at iiplab.net/feafa+"
    layout = """
        <root>/**/PV057.output/00000994.auw            part a: one line of 24 values
        <root>/**/PV057.output/00000994.jpg            its picture; also .png, .bmp
        or <name>_data/00000994.auw                    or flattened: PV05700000994.auw
        <root>/**/2.output/gong2_2_00004832.auw        part b (options.part): DISFA's SN002, with pictures
                                                       beside the labels, or else in
        <options.disfa_root>/Videos_LeftCamera/LeftVideoSN002_comp.avi
    """
    options: FEAFAOptions
    options_type = FEAFAOptions
    _disfa_pictures: RawPictures | None = None

    def identity(self, subject: str) -> str:
        """The people of part B are those of DISFA."""
        return f"disfa:{subject}" if subject.startswith("SN") else super().identity(subject)

    def label_files(self) -> Iterable[Path]:
        """Every .auw file, the folders they are in, the list of participants and the videos of part B."""
        labelled = self._labelled(Findings())
        self._people([one.sequence for one in labelled])  # refuses a list that cannot be read
        files = [path for one in labelled for path in one.frames.values()]
        more = [Path(self.options.participants_file)] if self.options.participants_file else []
        return [*files, *{path.parent for path in files}, *more, *self._videos().values()]

    def expected(self) -> Expected | None:
        """The published counts of part A."""
        return super().expected() if self.options.part == "a" else None

    def build_index(self) -> Index:
        """Every labelled frame that has a picture."""
        rows, videos = IndexRows(), self._videos()
        labelled = self._labelled(self.findings)
        people = self._people([one.sequence for one in labelled])
        for one in labelled:
            frames = dict(sorted(one.frames.items()))
            labels = read_labels(frames)
            if self.options.left_is == "viewer":
                labels = labels[:, MIRRORED]
            numbers = np.array(list(frames), np.int64)
            origins = Origins(tuple(frames.values()), np.arange(len(frames)), np.ones_like(numbers))
            table = FrameTable(numbers, labels, origins, FEAFA_AUS)
            coded = CodedSequence(one.sequence, people[one.sequence], table, DIGITS)
            places = self._beside(one) or self._in_disfa(videos.get(one.sequence))
            add_sequence(rows, self.findings, coded, places, 0, PART_B_SURPLUS if one.of_disfa else 0)
        return rows.index(len(FEAFA_AUS))

    def load_image(self, place: str) -> npt.NDArray[np.uint8]:
        """The picture beside the labels, or a frame of DISFA's left video."""
        if place.startswith(OF_DISFA):
            return self._disfa().load(place.removeprefix(OF_DISFA))
        return super().load_image(place)

    def protocol(self, name: str, subjects: Sequence[str]) -> Protocol:
        """People dealt out by the names of their sequences, CPEM's first 20, each alone, or a user's list."""
        if name != FEAFA_FIRST_20.name:
            return super().protocol(name, subjects)
        tested = set(self._people(FEAFA_FIRST_20.folds[0], complete=False).values()) & set(subjects)
        return Protocol(name, FEAFA_FIRST_20.version, (tuple(sorted(tested)),))

    def _labelled(self, findings: Findings) -> list[Labelled]:
        """The sequences of the chosen parts."""
        parts = {"a": (False,), "b": (True,), "both": (False, True)}[self.options.part]
        found = find_labelled(self.root(), findings)
        others = [one for one in found if one.of_disfa not in parts]
        if others:
            part, first, last = "ab"[others[0].of_disfa], others[0].sequence, others[-1].sequence
            findings.add(
                "other-part",
                self.root(),
                f"{len(others)} sequences of part {part} below {self.root()} ({first} to {last}) are not "
                f"read: set data.datasets.{self.name}.options.part=both if they are wanted",
                sum(len(one.frames) for one in others),
            )
        return [one for one in found if one.of_disfa in parts]

    def _people(self, names: Sequence[str], complete: bool = True) -> dict[str, str]:
        """The person of each sequence: itself, unless the user's list says otherwise.

        Raises:
            DatasetError: the list cannot be read, or lacks a sequence of part A (if it must be complete).
        """
        if not self.options.participants_file:
            return {name: name for name in names}
        path = Path(self.options.participants_file)
        listed = {cells[0].upper(): cells[-1] for _, cells in read_table(path, ",", header=True)[1:]}
        for name in names:
            if complete and not name.startswith("SN") and name.upper() not in listed:
                raise DatasetError(
                    f"{path} does not say who is seen in {name}: add a line '{name},<participant>'"
                )
        return {name: listed.get(name.upper(), name) for name in names}

    def _videos(self) -> dict[str, Path]:
        """The left videos of DISFA by person, for part B."""
        if self.options.part == "a" or not self.options.disfa_root:
            return {}
        found = video_files(self._disfa().root, "left")
        if not found:
            raise DatasetError(
                f"there is no Videos_LeftCamera/LeftVideoSN001_comp.avi below {self.options.disfa_root}: set "
                "data.datasets.feafa.options.disfa_root to the folder of DISFA"
            )
        return found

    def _disfa(self) -> RawPictures:
        if self._disfa_pictures is None:
            root = Path(self.options.disfa_root)
            if not root.is_dir():
                raise MissingRootError(
                    f"data.datasets.{self.name}.options.disfa_root ({root}) is no folder: "
                    "set it to the folder of DISFA"
                )
            self._disfa_pictures = RawPictures(root, self.findings)
        return self._disfa_pictures

    def _beside(self, one: Labelled) -> Places:
        """The pictures beside the label files."""
        root = self.root()
        return {frame: path.relative_to(root).as_posix() for frame, path in one.pictures.items()}

    def _in_disfa(self, video: Path | None) -> Places:
        """The frames of a video of DISFA by the numbers of part B."""
        if video is None:
            return {}
        first = self.options.disfa_first_frame
        return {number + first: OF_DISFA + place for number, place in self._disfa().of_video(video).items()}
