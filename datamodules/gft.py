"""GFT, the Sayette Group Formation Task: three strangers in conversation, one minute of each coded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.action_units import UNKNOWN, Scale
from datamodules.dataset_options.other import GFTOptions
from datamodules.errors import DatasetError
from datamodules.images import inside
from datamodules.index import Index, IndexRows
from datamodules.labels import read_table
from datamodules.spreadsheet import whole_number
from datamodules.still_pictures import StillPictures, codes_of


class GFT(StillPictures):
    """GFT: 96 people in 32 groups of three, 172,800 frames (1,800 of each).

    **Source**: Girard et al., FG 2017. **Licence**: annotations CC-BY, at https://osf.io/7wcyz; ask the
    University of Pittsburgh for the videos (agreement).

    **Layout**: see `GFT.layout`. **The format of its annotation files, their missing code and the list of
    78 training and 18 test participants are in no public source**, so nothing of them is assumed: you
    give the list of participants, where their files are, how the columns are called and which units to
    read. **AUs and scale**: `options.units`, by default the ten of JAA-Net; presence or level, by option.
    **Missing code**: every value but 0 and 1 (or 0 to 5); how many there are is reported. Frames of which
    no unit is known (occluded, uncoded) are left out.

    **Known traps**: participants are called 001A, 001B, ... (group and letter); extracted frames are
    001A/1.jpg, from 1, not padded; the frames may also be read from the videos. Protocols: your list
    (own_folds: the 18 in one line), people dealt out, or leave one out. The three people of a group are
    different people, filmed at the same time.
    """

    name = "gft"
    options: GFTOptions
    options_type = GFTOptions
    aus = codes_of(GFTOptions().units)
    licence = (
        "annotations CC-BY (https://osf.io/7wcyz); videos by agreement with the University of Pittsburgh"
    )
    layout = """
        <root>/participants.txt         your list, a participant in each line          (options.participants)
        <root>/annotations/001A.csv     header: frame, a column for each unit           (options.labels)
        <root>/001A/1.jpg               extracted frames, or the video of a participant (options.pictures)
    """

    def coded_scale(self) -> Scale:
        """As the option says."""
        return Scale(self.options.scale)

    def present_from(self, code: str) -> float | None:
        """Any level; ours, as for FACS letters."""
        return 1.0 if self.options.scale == "level" else None

    def label_files(self) -> Iterable[Path]:
        """The list, the label files, and the folders or videos."""
        yield self.below(self.options.participants)
        for person in self._participants():
            yield self._path(self.options.labels, person)
            source = self._path(self.options.pictures, person)
            yield from [source] if source.exists() else []

    def build_index(self) -> Index:
        """One row per labelled frame with a picture, for the participants of the list."""
        rows = IndexRows()
        for person in self._participants():
            table = self._path(self.options.labels, person)
            places, missing = self._places(person), 0
            for line, frame, labels in self._labels(table):
                if frame in places:
                    rows.add(
                        f"{person}/{frame:05d}",
                        person,
                        places[frame],
                        labels,
                        f"{table}:{line}",
                        group=person[:-1],
                    )
                else:
                    missing += 1
            if missing:
                message = (
                    f"{missing} labelled frames of {table} have no picture for {person}: they are left out"
                )
                self.findings.add("missing-image", table, message, missing)
        return rows.index(len(self.options.units))

    def load_image(self, place: str) -> npt.NDArray[np.uint8]:
        """A picture file, or a frame of a video."""
        return self.raw.load(place)

    def _participants(self) -> list[str]:
        """The participants of the user's list."""
        lines = read_table(self.below(self.options.participants))
        return sorted({cells[0] for _, cells in lines if not cells[0].startswith("#")})

    def _path(self, pattern: str, person: str) -> Path:
        relative = pattern.replace("{participant}", person)
        inside(self.root(), relative, self.options.participants)
        return self.root() / relative

    def _places(self, person: str) -> Mapping[int, str]:
        """Where each frame of a participant is."""
        source = self._path(self.options.pictures, person)
        if source.is_dir():
            return self.raw.of_folder(source)
        places = self.raw.of_video(source) if source.is_file() else {}
        return {self.options.first_frame + number: place for number, place in places.items()}

    def _labels(self, table: Path) -> list[tuple[int, int, list[float]]]:
        """Line, frame and labels of the rows with a known label."""
        (_, header), *lines = read_table(table, ",", header=True)
        names = [name.strip(" '\"").lower() for name in header]
        wanted = [self.options.unit_column.replace("{number}", str(number)) for number in self.options.units]
        for name in (self.options.frame_column, *wanted):
            if names.count(name.lower()) != 1:
                raise DatasetError(
                    f"{table}:1: there is not one column '{name}': the header has {', '.join(header)}; set "
                    f"data.datasets.{self.name}.options.unit_column, frame_column and units to what it has"
                )
        frame_at, *unit_at = (names.index(name.lower()) for name in (self.options.frame_column, *wanted))
        allowed = {float(value) for value in range(2 if self.options.scale == "presence" else 6)}
        found, missing = [], 0
        for line, cells in lines:
            frame = whole_number(cells[frame_at])
            if frame is None:
                raise DatasetError(
                    f"{table}:{line}: '{cells[frame_at]}' is no number of a frame: correct the cell"
                )
            labels = [_value(cells[at], allowed) for at in unit_at]
            missing += labels.count(UNKNOWN)
            if any(value != UNKNOWN for value in labels):
                found.append((line, frame, labels))
        if missing:
            message = (
                f"{missing} labels of {table} are none of {sorted(allowed)}, so they are taken as missing"
            )
            self.findings.add("unknown-label", table, message, missing)
        return found


def _value(cell: str, allowed: set[float]) -> float:
    """The value of a cell; UNKNOWN for anything that is not on the scale, be it text."""
    try:
        value = float(cell)
    except ValueError:
        return UNKNOWN
    return value if value in allowed else UNKNOWN
