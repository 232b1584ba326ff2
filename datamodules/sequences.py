"""Coded sequences and their pictures become rows of the index: the step that all video datasets share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.action_units import UNKNOWN
from datamodules.findings import Findings
from datamodules.frame_tables import FrameTable
from datamodules.index import IndexRows


@dataclass(frozen=True, slots=True)
class Sequence:
    """One video (or its frames) of one person, coded frame by frame.

    Attributes:
        name: as the sample ids begin, ``F001/T1``.
        subject: the person.
        table: frame numbers and labels.
        digits: width of the frame number in a sample id, so that ids sort as the frames do.
    """

    name: str
    subject: str
    table: FrameTable
    digits: int = 4

    def ids(self) -> list[str]:
        """One sample id for each row."""
        return [f"{self.name}/{frame:0{self.digits}d}" for frame in self.table.frames.tolist()]


def add_sequence(
    rows: IndexRows,
    findings: Findings,
    sequence: Sequence,
    places: Mapping[int, str] | None,
    shift: int,
    surplus: int = 0,
) -> None:
    """Add every coded frame that has a picture; what is left out becomes one finding for each reason.

    Args:
        rows: the index to be.
        findings: of the dataset.
        sequence: the coded frames.
        places: picture number -> place; None: labels alone are read, without places.
        shift: added to a frame number of the labels, it is the number of the picture.
        surplus: how many frames every copy has coded beyond the last picture, as is documented.
    """
    table = sequence.table
    uncoded = (table.labels == UNKNOWN).all(axis=1)
    _leave_out(findings, sequence, uncoded, "unknown-label", "have no label for any Action Unit")
    keep = ~uncoded
    if places is not None:
        numbers = (table.frames + shift).tolist()
        lacking = keep & np.array([number not in places for number in numbers], dtype=np.bool_)
        beyond = table.frames + shift > max(places, default=table.frames.max(initial=0) + shift)
        documented = lacking.sum() <= surplus and not (lacking & ~beyond).any()
        kind = "known-gap" if documented else "missing-image"
        _leave_out(findings, sequence, lacking, kind, "have no picture")
        keep &= ~lacking
    chosen = Sequence(sequence.name, sequence.subject, table.rows(keep), sequence.digits)
    frames = chosen.table.frames.tolist()
    found = [""] * len(frames) if places is None else [places[frame + shift] for frame in frames]
    origins = chosen.table.origins.texts()
    rows.extend(chosen.ids(), chosen.subject, found, chosen.table.labels, origins, sequence=chosen.name)


def tell_short_video(
    findings: Findings, sequence: Sequence, video: Path, places: Mapping[int, str], shift: int
) -> None:
    """Report a video that ends more than one frame before its labels: it may be truncated."""
    coded, shown = int(sequence.table.frames.max(initial=0)), max(places, default=-1) - shift
    if places and coded - shown > 1:
        said = f"{video} ends with frame {shown} and the labels of {sequence.name} with {coded}: copy it anew"
        findings.add("frame-count", video, said, coded - shown)


def tell_unlabelled(findings: Findings, pictures: Mapping[str, Path], labelled: Iterable[str]) -> None:
    """Report pictures whose labels are missing, where every video of the dataset was coded."""
    for name in sorted(set(pictures) - set(labelled)):
        findings.add(
            "missing-labels",
            pictures[name],
            f"{pictures[name]} shows {name}, of which there are no labels: it is left out, unpack them again",
        )


def at_least(table: FrameTable, threshold: float) -> FrameTable:
    """Levels as presence: 1 from the threshold on, 0 below it, UNKNOWN where it was."""
    labels = np.where(table.labels == UNKNOWN, UNKNOWN, table.labels >= threshold).astype(np.float32)
    return FrameTable(table.frames, labels, table.origins, table.aus)


def _leave_out(
    findings: Findings, sequence: Sequence, chosen: npt.NDArray[np.bool_], kind: str, why: str
) -> None:
    count = int(chosen.sum())
    if not count:
        return
    first = int(np.flatnonzero(chosen)[0])
    frames = sequence.table.frames[chosen]
    findings.add(
        kind,
        sequence.table.origins[first],
        f"{sequence.table.origins[first]}: {count} of {len(chosen)} coded frames of {sequence.name} {why} "
        f"(frames {frames.min()} to {frames.max()}), so they are left out",
        count,
    )
