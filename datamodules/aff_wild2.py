"""Aff-Wild2 (the ABAW challenges): videos from the web, coded frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.action_units import UNKNOWN, Scale
from datamodules.dataset_options.other import AffWild2Options
from datamodules.errors import DatasetError
from datamodules.index import Index, IndexRows
from datamodules.labels import child, listed_folders, numbered, read_table
from datamodules.protocols import Protocol
from datamodules.still_pictures import StillPictures, codes_of

_CHALLENGES = ("AU_Detection_Challenge", "*AU_Detection*", "AU_Set", "*AU_Set*")
_TRAIN, _TESTED = "train", "validation"


class AffWild2(StillPictures):
    """Aff-Wild2: the face crops of about 400 labelled videos of the ABAW challenges, 112 x 112.

    **Source**: Kollias and Zafeiriou, 2019-2024. **Licence**: research only, signed; ask at
    https://ibug.doc.ic.ac.uk/resources/aff-wild2.

    **Layout**: see `AffWild2.layout`. **AUs and scale**: presence of 1 2 4 6 7 10 12 15 23 24 25 26, read
    by the names in the first line of each file. **Missing code**: -1; a frame with any -1 is dropped as
    in the challenge, or masked by `options.partly_coded=mask`.

    **Known traps**: row i after the header is crop 0000i.jpg (from 1, five digits); **crops are missing
    where no face was found**, and either side may be longer by a few frames: only frames with both are
    read, and how many rows have no crop is reported. ``video_left`` and ``video_right`` are other people
    in the same video: each is a subject of its own. The challenge's folder is called differently from
    year to year (AU_Set, numbers). Protocol: the people of the validation set are tested, since the test
    labels are not given out; the number of videos depends on the year.
    """

    name = "aff_wild2"
    options: AffWild2Options
    options_type = AffWild2Options
    aus = codes_of((1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26))
    scale = Scale.PRESENCE
    protocols = ("validation_set", "people_folds", "own_folds")
    licence = "research only, by signed agreement: https://ibug.doc.ic.ac.uk/resources/aff-wild2"
    layout = """
        <root>/annotations/AU_Detection_Challenge/Train_Set/<video>.txt     header AU1,AU2,..., then 0/1/-1
        <root>/annotations/AU_Detection_Challenge/Validation_Set/<video>.txt    (or AU_Set)
        <root>/cropped_aligned/<video>/00001.jpg                                crop of the first row
    """

    def label_files(self) -> Iterable[Path]:
        """The label files, and the folders of the crops."""
        for videos in self._videos().values():
            yield from videos.values()
        yield from listed_folders(self.below(self.options.pictures))

    def build_index(self) -> Index:
        """One row per labelled frame that has a crop."""
        pictures, rows = self.below(self.options.pictures), IndexRows()
        train, validation = self._videos().values()
        for video in sorted(train.keys() & validation.keys())[:1]:
            raise DatasetError(
                f"video '{video}' is in the train set and in the validation set, {train[video]} and "
                f"{validation[video]}: take one of the two files out"
            )
        for video, path in {**train, **validation}.items():
            self._read(rows, video, path, pictures / video)
        return rows.index(len(self.aus))

    def protocol(self, name: str, subjects: Sequence[str]) -> Protocol:
        """The validation set is tested."""
        if name == "validation_set":
            return Protocol(name, 1, (tuple(self._videos()[_TESTED]),))
        return super().protocol(name, subjects)

    def _read(self, rows: IndexRows, video: str, path: Path, folder: Path) -> None:
        """Add the frames of one video."""
        labels = _labels(path, self.aus)
        crops = numbered(folder) if folder.is_dir() else {}
        there = np.array([number in crops for number in range(1, len(labels) + 1)], dtype=np.bool_)
        if not crops or not there.all():
            count = int((~there).sum())
            kind = "no-crop" if crops else "missing-image"
            message = (
                f"{count} of the {len(labels)} rows of {path} have no crop in {folder}: they are left out"
            )
            self.findings.add(kind, path, message, count)
        unknown = labels == UNKNOWN
        left_out = unknown.any(axis=1) if self.options.partly_coded == "drop" else unknown.all(axis=1)
        if left_out.any():
            count = int(left_out.sum())
            self.findings.add(
                "unknown-label", path, f"{count} rows of {path} hold -1: they are left out", count
            )
        chosen = np.flatnonzero(there & ~left_out)
        numbers = [int(row) + 1 for row in chosen]
        prefix = str(folder.relative_to(self.root()))
        rows.extend(
            [f"{video}/{number:05d}" for number in numbers],
            video,
            [f"{prefix}/{crops[number].name}" for number in numbers],
            labels[chosen],
            [f"{path}:{number + 1}" for number in numbers],
        )

    def _challenge(self) -> Path:
        """The folder of the two sets."""
        if self.options.annotations:
            return self.below(self.options.annotations)
        annotations = self.below("annotations")
        found = child(annotations, *_CHALLENGES, folders=True)
        if found is None:
            raise DatasetError(
                f"{annotations} has no folder AU_Detection_Challenge: set "
                f"data.datasets.{self.name}.options.annotations to the folder of Train_Set and Validation_Set"
            )
        return found

    def _videos(self) -> dict[str, dict[str, Path]]:
        """The label files of the two parts by the names of their videos."""
        challenge, found = self._challenge(), {}
        for part in (_TRAIN, _TESTED):
            folder = child(challenge, f"{part}_set", f"{part}*", folders=True)
            if folder is None:
                raise DatasetError(f"{challenge} has no folder {part}_set: unpack the annotations again")
            found[part] = {path.stem: path for path in sorted(folder.glob("[!.]*.txt"))}
        return found


def _labels(path: Path, aus: Sequence[str]) -> npt.NDArray[np.float32]:
    """The rows of a label file, with the columns in the order of `aus`, float32 [N, A].

    Raises:
        DatasetError: the first line does not name each unit once, a row is short, a cell is no number, or a
            blank line stands between rows (the rows after it would belong to other frames).
    """
    table = read_table(path, ",", header=True)
    columns = [name.strip().upper() for name in table[0][1]]
    if sorted(columns) != sorted(aus):
        raise DatasetError(
            f"{path}:1: the first line names {', '.join(columns)} and not the 12 units {', '.join(aus)}: "
            "use the file as it is distributed"
        )
    for place, (line, _) in enumerate(table):
        if line != place + 1:
            raise DatasetError(
                f"{path}:{place + 1}: the line is blank, so later rows cannot be told: mend the file"
            )
    try:
        values = np.array([cells for _, cells in table[1:]], dtype=np.str_).astype(np.float32)
    except ValueError as error:
        raise DatasetError(f"{path}: a label is no number ({error}): mend the file") from None
    return values.reshape(-1, len(columns))[:, [columns.index(code) for code in aus]]
