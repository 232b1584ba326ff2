"""What the datasets beside BP4D, DISFA and FEAFA let you choose. No torch here.

What no public source says (where a file lies, which people are tested, what a column is called) is an
option and not a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from datamodules.action_units import code_of
from datamodules.errors import UnknownActionUnitError


@dataclass
class SplitOptions:
    """How the people are divided where the protocol leaves a choice."""

    folds: int = 3
    """Folds of the protocol people_folds."""
    folds_file: str = ""
    """File of the protocol own_folds: the tested people of one fold in each line (see the documentation)."""

    def __post_init__(self) -> None:
        """Refuse what cannot be divided."""
        if self.folds < 2:
            raise ValueError("folds must be at least 2: one is tested, the others train")


@dataclass
class GFTOptions(SplitOptions):
    """GFT: the format of its annotation files and its 78/18 list are not public, so both are said here."""

    participants: str = "participants.txt"
    """Your list of participants below the root, one in each line: 001A, 001B, ..."""
    labels: str = "annotations/{participant}.csv"
    """Label file of a participant below the root: CSV with a header."""
    pictures: str = "{participant}"
    """Folder of numbered pictures of a participant below the root, or the video file."""
    frame_column: str = "frame"
    """Column with the number of the frame."""
    unit_column: str = "AU{number}"
    """Column of a unit; {number} is its FACS number."""
    first_frame: int = 1
    """What the label file calls the first frame of a video; pictures carry the number themselves."""
    scale: str = "presence"
    """What the columns hold: presence (0, 1) or level (0-5)."""
    units: list[int] = field(default_factory=lambda: [1, 2, 4, 6, 10, 12, 14, 15, 23, 24])
    """FACS numbers to read; these are the ten of JAA-Net and ARL."""

    def __post_init__(self) -> None:
        """Refuse patterns without a place for what changes."""
        super().__post_init__()
        _check_units(self.units)
        _check_word("scale", self.scale, ("presence", "level"))
        for name in ("labels", "pictures"):
            if "{participant}" not in getattr(self, name):
                raise ValueError(
                    f"{name} holds no {{participant}}: put it where the participant's name stands"
                )
        if "{number}" not in self.unit_column:
            raise ValueError("unit_column holds no {number}: put it where the number of the unit stands")


@dataclass
class UNBCOptions(SplitOptions):
    """UNBC-McMaster."""

    scale: str = "level"
    """level: the nine graded units; presence: these and AU43, which is coded 0 or 1 only."""
    present_from: int = 1
    """Intensity from which a unit counts as present on the scale presence."""

    def __post_init__(self) -> None:
        """Refuse what FACS does not have."""
        super().__post_init__()
        _check_word("scale", self.scale, ("level", "presence"))
        if not 1 <= self.present_from <= 5:
            raise ValueError(f"present_from={self.present_from} is no intensity: give one of 1 to 5")


@dataclass
class RAFAUOptions(SplitOptions):
    """RAF-AU."""

    pictures: str = "aligned"
    """Folder of the pictures below the root; their names hold the number: 0001_aligned.jpg, 0001.jpg."""
    sides: str = "drop"
    """drop: L12 is AU12; keep: left and right are units of their own, and 12 is both."""
    null: str = "leave_out"
    """Pictures with 'null': leave_out (no label is known), or absent (none of the units is there)."""
    units: list[int] = field(default_factory=lambda: [1, 2, 4, 5, 6, 9, 10, 12, 16, 17, 25, 26, 27])
    """FACS numbers to read; these are the 13 of the FG 2024 protocol."""

    def __post_init__(self) -> None:
        """Refuse other words and numbers."""
        super().__post_init__()
        _check_units(self.units)
        _check_word("sides", self.sides, ("drop", "keep"))
        _check_word("null", self.null, ("leave_out", "absent"))


@dataclass
class CKPlusOptions(SplitOptions):
    """CK+."""

    folds: int = 10
    """Folds of the protocol people_folds."""
    units: list[int] = field(
        default_factory=lambda: [
            *(1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18),
            *(20, 22, 23, 24, 25, 26, 27, 38, 39),
        ]
    )
    """FACS numbers to read; these are the 25 of OpenGraphAU."""

    def __post_init__(self) -> None:
        """Refuse other numbers."""
        super().__post_init__()
        _check_units(self.units)


@dataclass
class AffWild2Options(SplitOptions):
    """Aff-Wild2."""

    annotations: str = ""
    """Folder below the root that holds Train_Set and Validation_Set; empty: it is looked for."""
    pictures: str = "cropped_aligned"
    """Folder below the root that holds a folder of numbered crops for every video."""
    partly_coded: str = "drop"
    """Frames with a unit at -1: drop, as the challenge does, or mask that unit alone."""

    def __post_init__(self) -> None:
        """Refuse other words."""
        super().__post_init__()
        _check_word("partly_coded", self.partly_coded, ("drop", "mask"))


@dataclass
class EmotioNetOptions(SplitOptions):
    """EmotioNet."""

    table: str = "EmotioNet_FACS_aws_2020_24600"
    """Label table below the root, .csv or .xlsx; without a suffix the one that is there."""
    pictures: str = "Images"
    """Folder below the root that is searched for the pictures by their file names."""
    people: str = "picture"
    """Who is one person: nobody was identified, so every picture is one; or every folder of the archive."""
    units: list[int] = field(default_factory=lambda: [1, 2, 4, 5, 6, 9, 12, 17, 20, 25, 26, 43])
    """FACS numbers to read; these are the 12 of the challenge."""

    def __post_init__(self) -> None:
        """Refuse other words and numbers."""
        super().__post_init__()
        _check_units(self.units)
        _check_word("people", self.people, ("picture", "folder"))


@dataclass
class MicroOptions(SplitOptions):
    """Clips of micro-expressions, of which the apex frame carries the clip's units."""

    table: str = ""
    """Coding table below the root."""
    pictures: str = "."
    """Folder of the people's folders below the root."""
    around: int = 0
    """Frames on either side of the apex that carry the clip's units too, never outside onset to offset."""
    sides: str = "drop"
    """drop: L10 is AU10; keep: left and right are units of their own, and 10 is both."""
    units: list[int] = field(default_factory=lambda: [1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17])
    """FACS numbers to read."""

    def __post_init__(self) -> None:
        """Refuse other words and numbers."""
        super().__post_init__()
        _check_units(self.units)
        _check_word("sides", self.sides, ("drop", "keep"))
        if self.around < 0:
            raise ValueError(f"around={self.around} is no number of frames: give 0 or more")


@dataclass
class CASME2Options(MicroOptions):
    """CASME II."""

    table: str = "CASME2-coding-20140508.xlsx"
    """Coding table below the root."""
    pictures: str = "Cropped"
    """Folder of the frames below the root: Cropped or CASME2_RAW_selected."""


@dataclass
class SAMMOptions(MicroOptions):
    """SAMM."""

    table: str = "SAMM_Micro_FACS_Codes_v2.xlsx"
    """Coding table below the root."""


@dataclass
class FABAOptions(SplitOptions):
    """FABAInstruct."""

    units: list[int] = field(
        default_factory=lambda: [1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 20, 23, 24, 25, 26, 27, 43]
    )
    """FACS numbers to look for in the descriptions."""

    def __post_init__(self) -> None:
        """Refuse other numbers."""
        super().__post_init__()
        _check_units(self.units)


def _check_units(units: Sequence[int]) -> None:
    """Refuse an empty list, a number twice and a number that FACS does not have."""
    if not units:
        raise ValueError("units is empty: name at least one FACS number")
    if len(set(units)) < len(units):
        raise ValueError(
            f"units names a number twice ({', '.join(map(str, units))}): take one of the two out"
        )
    for number in units:
        try:
            code_of(number)
        except UnknownActionUnitError as error:
            raise ValueError(f"units: {error}") from None


def _check_word(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} '{value}' is not one of {', '.join(allowed)}")
