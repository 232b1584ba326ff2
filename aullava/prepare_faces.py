"""What `aullava prepare` does with its words: the dataset on its originals, the store, what to say of it."""

from __future__ import annotations

from pathlib import Path

from aullava.config.schema import DatasetConfig
from aullava.dataset_originals import build_originals
from datamodules.cores import usable_cores
from datamodules.faces import FaceSettings
from datamodules.prepare import QUALITY, Report, prepare


def prepare_faces(
    name: str, config: DatasetConfig, out: Path, faces: FaceSettings, quality: int | None, workers: int | None
) -> Report:
    """Make the store of a dataset.

    Args:
        name: registered name.
        config: root and options; a store or crop settings in it are not for reading the originals.
        out: folder of the store.
        faces: how faces are cut out.
        quality: of the JPEGs; None: the default.
        workers: processes; None: one for each core.
    """
    module = build_originals(name, config)
    return prepare(module, out, faces, QUALITY if quality is None else quality, workers or usable_cores())


def told(report: Report) -> str:
    """The report in a few lines: what is there, what is missing and why, how to use it."""
    lines = [f"{report.out}: {report.faces} faces of {report.frames} frames"]
    if report.written:
        rate = report.written / max(report.seconds, 1e-9)
        lines.append(f"{report.written} frames read in {report.seconds:.0f} s ({rate:.0f} images/s)")
    else:
        lines.append("nothing to do: everything is there")
    for reason, count in sorted(report.missing.items()):
        lines.append(f"without a crop: {count} ({reason}), listed in {report.out / 'missing.csv'}")
    for kind, (count, first) in report.left_out.items():
        lines.append(f"warning: {count} x {kind}, the first: {first}")
    lines.append(f"to read it: data.datasets.{report.dataset}.prepared={report.out}")
    return "\n".join(lines)
