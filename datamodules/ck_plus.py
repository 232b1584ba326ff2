"""The Extended Cohn-Kanade dataset (CK+): posed expressions, coded at the peak."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from datamodules.action_units import Scale
from datamodules.dataset_options.other import CKPlusOptions
from datamodules.facs_files import SUFFIX, facs_files, read_facs
from datamodules.index import Index, IndexRows
from datamodules.labels import folders_at
from datamodules.still_pictures import StillPictures, by_stem, codes_of


class CKPlus(StillPictures):
    """CK+: 593 sequences of 123 people from neutral to peak; the last frame of each is FACS coded.

    **Source**: Lucey et al., CVPR Workshops 2010. **Licence**: research only, signed; ask at
    https://www.jeffcohn.net/Resources.

    **Layout**: see `CKPlus.layout`. **AUs and scale**: presence of `options.units`, by default the 25 of
    OpenGraphAU: what a FACS file names is present, every other is absent. No levels, because intensity 0
    means present with unknown intensity. **Missing code**: none; a peak without a FACS file was not
    coded, and one whose file names no unit at all is left out.

    **Known traps**: the numbers are in scientific notation between several spaces, so a row is split at
    white space and never by position; stray ``.DS_Store`` and ``._*`` files are passed over; the FACS
    file names its frame. One side of the face is never marked. Emotion and Landmarks are not read and may
    be absent. There is no official split.
    """

    name = "ck_plus"
    options: CKPlusOptions
    options_type = CKPlusOptions
    aus = codes_of(CKPlusOptions().units)
    scale = Scale.PRESENCE
    licence = "research only, by signed agreement: https://www.jeffcohn.net/Resources"
    layout = """
        <root>/cohn-kanade-images/S005/001/S005_001_00000011.png    the frames of sequence 001 of person S005
        <root>/FACS/S005/001/S005_001_00000011_facs.txt             its peak: rows "unit intensity"
        <root>/Emotion, <root>/Landmarks                            not read, may be absent
    """

    def label_files(self) -> Iterable[Path]:
        """The FACS files, and the folders of the pictures."""
        yield from (path for _, _, path in facs_files(self.below("FACS")))
        yield from folders_at(self.below("cohn-kanade-images"), 2)

    def build_index(self) -> Index:
        """One row per FACS file that names a unit and whose picture is there."""
        images = self.below("cohn-kanade-images")
        rows = IndexRows()
        for person, sequence, path in facs_files(self.below("FACS")):
            stem = path.name[: -len(SUFFIX)]
            picture = by_stem(images / person / sequence).get(stem.lower())
            listed = read_facs(path)
            if not listed:
                message = f"{path} names no unit, so its peak was not coded: the sequence is left out"
                self.findings.add("unknown-label", path, message)
            elif picture is None:
                wanted = images / person / sequence / stem
                self.findings.add(
                    "missing-image", path, f"{path} has no picture {wanted}.png: unpack it again"
                )
            else:
                labels = [float(number in listed) for number in self.options.units]
                rows.add(f"{person}/{sequence}/{stem}", person, self.place(picture), labels, str(path))
        return rows.index(len(self.coded_aus()))
