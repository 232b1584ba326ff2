"""The UNBC-McMaster Shoulder Pain Expression Archive: spontaneous pain, coded frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from datamodules.action_units import UNKNOWN, Scale
from datamodules.dataset_options.other import UNBCOptions
from datamodules.errors import DatasetError, LabelOutOfRangeError
from datamodules.facs_files import SUFFIX, facs_files, read_facs
from datamodules.index import Index, IndexRows
from datamodules.labels import child, folders_at, label, listed, read_table
from datamodules.protocols import Protocol
from datamodules.still_pictures import StillPictures, by_stem, codes_of

GRADED = (4, 6, 7, 9, 10, 12, 20, 25, 26)
EYES_CLOSED = 43

CSN_FOLDS = (
    "042-ll042 052-dr052 092-ch092 103-jk103 115-jy115",
    "043-jh043 059-fn059 095-tv095 106-nm106 120-kz120",
    "047-jl047 064-ak064 096-bg096 107-hs107 121-vw121",
    "048-aa048 066-mg066 097-gf097 108-th108 123-jh123",
    "049-bm049 080-bn080 101-mg101 109-ib109 124-dn124",
)
"""Tested people of CSN's five folds, fold 1 first."""

WRONG_PAIN_SHARE = 0.01
"""Share of frames whose pain score may differ from their units before the whole copy is refused; ours."""


class UNBC(StillPictures):
    """UNBC-McMaster: 48,398 frames of 200 sequences of 25 people with shoulder pain.

    **Source**: Lucey et al., FG 2011. **Licence**: research only, signed; ask at
    https://www.jeffcohn.net/Resources.

    **Layout**: see `UNBC.layout`. **AUs and scale**: level 0-5 of 4 6 7 9 10 12 20 25 26 (default); or
    presence of these and of 43, which is coded 0 or 1 only and has no level. 27, 50 and other rare units
    are not read. **Missing code**: none. An empty FACS file means that nothing is active; a missing one
    means that the frame was not coded. A unit that is listed with intensity 0 contradicts itself and is
    UNKNOWN (in CK+, of the same group, it is present without a level).

    **Known traps**: the PSPI files carry **the same suffix** as the FACS files. They hold one number, AU4
    + max(AU6, AU7) + max(AU9, AU10) + AU43, by which this reader is checked: a frame where it differs is
    left out and reported, more than 1 % of them are an error. Most frames show no pain, so take many
    frames of a sequence for few. Landmarks and Sequence_Labels are not read and may be absent. Protocols:
    CSN's five folds, or leave one subject out.
    """

    name = "unbc"
    options: UNBCOptions
    options_type = UNBCOptions
    aus = codes_of(GRADED)
    protocols = ("csn_folds", "leave_one_subject_out", "people_folds", "own_folds")
    known_protocols: ClassVar[Mapping[str, Protocol]] = {
        "csn_folds": Protocol("csn_folds", 1, tuple(tuple(fold.split()) for fold in CSN_FOLDS))
    }
    licence = "research only, by signed agreement: https://www.jeffcohn.net/Resources"
    layout = """
        <root>/Images/042-ll042/ll042t1aaaff/ll042t1aaaff001.png                    person, sequence, frame
        <root>/Frame_Labels/FACS/042-ll042/ll042t1aaaff/ll042t1aaaff001_facs.txt "unit intensity onset offset"
        <root>/Frame_Labels/PSPI/042-ll042/ll042t1aaaff/ll042t1aaaff001_facs.txt    one number; may be absent
        <root>/AAM_landmarks, <root>/Sequence_Labels                                not read, may be absent
    """

    def coded_scale(self) -> Scale:
        """As the option says."""
        return Scale(self.options.scale)

    def coded_aus(self) -> tuple[str, ...]:
        """The nine graded units; on the scale presence AU43 too."""
        return self.aus if self.options.scale == "level" else codes_of((*GRADED, EYES_CLOSED))

    def present_from(self, code: str) -> float | None:
        """The intensity of the options."""
        return float(self.options.present_from) if self.options.scale == "level" else None

    def label_files(self) -> Iterable[Path | str]:
        """Every file of Frame_Labels, and the folders of the pictures.

        All of them are looked at in every start, 97,000 in 0.4 s: a label that is corrected in place changes
        the time of its own file and of nothing else.
        """
        labelled = self.below("Frame_Labels")
        yield labelled
        for sequence in folders_at(labelled, 3):
            yield from (f"{sequence}/{name}" for name in listed(sequence))
        yield from folders_at(self.below("Images"), 2)

    def build_index(self) -> Index:
        """One row per FACS file whose picture is there and whose pain score fits."""
        images, labelled = self.below("Images"), self.below("Frame_Labels")
        pain = child(labelled, "PSPI", folders=True)
        if pain is None:
            message = f"{labelled} has no folder PSPI, so the units cannot be checked by the pain score"
            self.findings.add("optional-absent", labelled, message)
        rows, checked, wrong, unchecked = IndexRows(), 0, 0, 0
        pictures: dict[str, dict[str, Path]] = {}
        for person, sequence, path in facs_files(self.below("Frame_Labels", "FACS")):
            key, stem = f"{person}/{sequence}", path.name[: -len(SUFFIX)]
            if key not in pictures:
                pictures = {key: by_stem(images / key)}
            units = read_facs(path)
            score = None if pain is None else _score(pain / key / path.name)
            checked += score is not None
            unchecked += pain is not None and score is None
            if score is not None and score != pain_of(units):
                wrong += 1
                message = (
                    f"{path} gives a pain score of {pain_of(units):g} and its PSPI file {score:g}: left out"
                )
                self.findings.add("pspi-differs", path, message)
            elif stem.lower() not in pictures[key]:
                message = f"{path} has no picture {images / key / stem}.png: unpack the pictures again"
                self.findings.add("missing-image", path, message)
            else:
                place = self.place(pictures[key][stem.lower()])
                rows.add(
                    f"{key}/{stem}", person, place, self._labels(units, path), str(path), sequence=sequence
                )
        if unchecked:
            message = f"{unchecked} frames have no file in {pain}, so no score checks their units"
            self.findings.add("optional-absent", str(pain), message, unchecked)
        if wrong > WRONG_PAIN_SHARE * checked:
            raise DatasetError(
                f"{wrong} of {checked} FACS files in {labelled} differ from the scores of their PSPI files: "
                "the two folders are of different copies, or columns are mixed up, so unpack the labels again"
            )
        return rows.index(len(self.coded_aus()))

    def _labels(self, units: dict[int, float], path: Path) -> list[float]:
        """Levels, or presence from the option's intensity; listed with intensity 0 is UNKNOWN."""
        if units.get(EYES_CLOSED, 0) > 1:
            raise LabelOutOfRangeError.of(path, "AU43", units[EYES_CLOSED], "presence", "0 or 1")
        if self.options.scale == "level":
            return [units.get(number, 0.0) if units.get(number) != 0 else UNKNOWN for number in GRADED]
        least = dict.fromkeys(GRADED, self.options.present_from) | {EYES_CLOSED: 1}
        return [
            UNKNOWN if units.get(number) == 0 else float(units.get(number, 0) >= least[number])
            for number in least
        ]


def pain_of(units: Mapping[int, float]) -> float:
    """The Prkachin and Solomon pain intensity, 0 to 16, of the intensities of units."""
    four, six, seven, nine, ten, closed = (units.get(number, 0.0) for number in (4, 6, 7, 9, 10, EYES_CLOSED))
    return four + max(six, seven) + max(nine, ten) + closed


def _score(path: Path) -> float | None:
    """The number in a PSPI file; None where there is no file for this frame."""
    if not path.is_file():
        return None
    rows = read_table(path)
    if [len(cells) for _, cells in rows] != [1]:
        raise DatasetError(f"{path} does not hold one number, the pain score: unpack Frame_Labels/PSPI again")
    return label(rows[0][1][0], f"{path}:1", "the pain score")
