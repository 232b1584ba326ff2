"""Options of BP4D, BP4D+, DISFA, DISFA+ and FEAFA; no torch here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


def one_of(name: str, value: object, known: Collection[object]) -> None:
    """Refuse a value that is none of the known ones.

    Raises:
        ValueError: names the option and what it may be.
    """
    if value not in known:
        raise ValueError(f"{name} {value!r} is not one of {', '.join(str(one) for one in known)}")


@dataclass
class BP4DOptions:
    """Which labels and which packaging of BP4D."""

    labels: str = "occurrence"
    """occurrence: 12 Action Units, 0 or 1; intensity: AU6, 10, 12, 14, 17 as levels 0-5."""
    pictures: str = "auto"
    """disk: Sequences(2D+3D)/F001/T1/*.jpg; fera: BP4D-training/F001/T1/*.jpg; avi: 2F01_01.avi; none: labels
    alone are read; auto: the first of these that is there."""
    frame_offset: int = 0
    """Number of the picture minus frame number of the labels; 0 is the field's convention, -1 for copies
    whose pictures are counted from 0."""
    drop_occluded: bool = False
    """Leave out frames whose last column is 1 in the 100-column files, as OpenFace does; the canonical counts
    keep them."""
    drop_no_landmarks: bool = False
    """Leave out the 271 frames without landmarks, as JAA-Net does (146,576 frames remain)."""
    folds_file: str = ""
    """Your own list for protocol=own_folds: the tested people of one fold in each line."""

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        one_of("labels", self.labels, ("occurrence", "intensity"))
        one_of("pictures", self.pictures, ("auto", "disk", "fera", "avi", "none"))
        one_of("frame_offset", self.frame_offset, (-1, 0, 1))


@dataclass
class BP4DPlusOptions:
    """Which labels of BP4D+."""

    labels: str = "occurrence"
    """occurrence: the 12 Action Units of BP4D, 0 or 1; all_occurrence: all 34 that are coded; intensity: AU6,
    10, 12, 14, 17 as levels 0-5."""
    pictures: str = "auto"
    """auto: 2D+3D/F001.zip, or unpacked 2D+3D/F001/T1/*.jpg, or F001_T1.mp4; none: labels alone are read."""
    frame_offset: int = 0
    """Number of the picture minus frame number of the labels: 0, or -1 for pictures that are counted from
    0."""
    folds_file: str = ""
    """Your own list for protocol=own_folds: the tested people of one fold in each line."""

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        one_of("labels", self.labels, ("occurrence", "all_occurrence", "intensity"))
        one_of("pictures", self.pictures, ("auto", "none"))
        one_of("frame_offset", self.frame_offset, (-1, 0, 1))


@dataclass
class DISFAPlusOptions:
    """How the levels of DISFA+ are asked about."""

    coding: str = "intensity"
    """intensity: 12 Action Units as levels 0-5; detection: the field's 8 (AU1, 2, 4, 6, 9, 12, 25, 26) as
    present or absent by `threshold`."""
    threshold: int = 2
    """The level from which an Action Unit counts as present; 2 in most papers, 1 in OpenGraphAU, OpenFace and
    AU_R-CNN, whose numbers do not compare."""
    folds_file: str = ""
    """Your own list for protocol=own_folds: the tested people of one fold in each line."""

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        one_of("coding", self.coding, ("intensity", "detection"))
        one_of("threshold", self.threshold, (1, 2, 3, 4, 5))


@dataclass
class DISFAOptions(DISFAPlusOptions):
    """Which camera and which pictures of DISFA."""

    camera: str = "left"
    """left (ME-GraphAU) or right (LibreFace, FMAE-IAT)."""
    frames: str = ""
    """Folder below the root with extracted frames, ``<frames>/SN001/0.png``; empty: the video of `camera`,
    or, if there is none, such a folder where it is found. A picture does not tell its camera: say it by the
    folder."""
    first_frame: int = 0
    """Number of the first extracted frame: 0 for decode indices (JAA-Net, ME-GraphAU), 1 for ffmpeg's
    default."""
    pictures: bool = True
    """False: labels alone are read."""
    drop_bad_landmarks: bool = False
    """Leave out the 4,670 frames that JAA-Net leaves out for their landmarks (126,144 remain)."""

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        super().__post_init__()
        one_of("camera", self.camera, ("left", "right"))
        one_of("first_frame", self.first_frame, (0, 1))


@dataclass
class FEAFAOptions:
    """Which parts of FEAFA+."""

    part: str = "a"
    """a: FEAFA's own sequences (PV001...); b: DISFA labelled anew; both."""
    disfa_root: str = ""
    """Folder of DISFA, whose left videos show the frames of part b; empty: pictures beside the .auw files
    only."""
    disfa_first_frame: int = 0
    """File number of the first frame of a DISFA video in part b; 0 as the files begin, not settled by its
    makers."""
    left_is: str = "subject"
    """Whose left the files mean: subject, or viewer (their columns are then exchanged). Look at one wink."""
    participants_file: str = ""
    """CSV of ``sequence,participant`` lines: 122 people show the 127 sequences; empty: each sequence is a
    person."""
    folds: int = 3
    """Folds of protocol=sequence_folds."""
    folds_file: str = ""
    """Your own list for protocol=own_folds: the tested sequences of one fold in each line."""

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        one_of("part", self.part, ("a", "b", "both"))
        one_of("left_is", self.left_is, ("subject", "viewer"))
        one_of("disfa_first_frame", self.disfa_first_frame, (0, 1))
        if self.folds < 2:
            raise ValueError("folds must be at least 2: one is tested, the others train")
