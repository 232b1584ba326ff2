"""The finished table in other formats: Parquet, and the files that OpenFace 2.2 would have written."""

from __future__ import annotations

import csv
from itertools import groupby
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from aullava.inference.pictures import is_video
from datamodules.whole_file import whole_file

OPENFACE_C: Final = (
    *("01", "02", "04", "05", "06", "07", "09", "10", "12"),
    *("14", "15", "17", "20", "23", "25", "26", "28", "45"),
)
"""Numbers of the Action Units that OpenFace 2.2 decides about."""
OPENFACE_R: Final = tuple(one for one in OPENFACE_C if one != "28")
"""Numbers of those that it gives an amount for."""
IMAGES: Final = "images"


def write_parquet(table: Path, path: Path) -> None:
    """The table as Parquet: counts and decisions int64, measures float64, words string; null where empty."""
    with table.open(newline="", encoding="utf-8") as file:
        header = next(csv.reader(file))
    words, counts = {"file", "contradiction", "reason"}, {"frame", "face_id", "success", "certified"}
    types = {
        name: pa.string()
        if name in words
        else pa.int64()
        if name in counts or name.endswith("_c")
        else pa.float64()
        for name in header
    }
    options = arrow_csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True)
    with whole_file(path) as temporary:
        parquet.write_table(arrow_csv.read_csv(table, convert_options=options), temporary)


def write_openface(table: Path, folder: Path) -> list[Path]:
    """One CSV for each video and one for all pictures, with those columns of OpenFace 2.2 that are known.

    Frames are counted from 1; where there is no face, success is 0 and so are the values, as OpenFace has it.

    Returns:
        The files, ``<name of the video>.csv`` and ``images.csv``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        names = set(reader.fieldnames or ())
        units = [f"AU{one}_r" for one in OPENFACE_R if f"AU{one}_r" in names]
        units += [f"AU{one}_c" for one in OPENFACE_C if f"AU{one}_c" in names]
        header = ["frame", "face_id", "timestamp", "confidence", "success", *units]
        for source, rows in groupby(reader, lambda row: row["file"] if _is_frame(row) else ""):
            name = Path(source).stem if source else IMAGES
            path = folder / f"{name}.csv"
            if path in written:  # two videos of one name, or pictures before and after a video
                path = folder / f"{name}_{len(written) + 1}.csv"
            with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as out:
                out.write(", ".join(header) + "\n")
                out.writelines(_line(row, number, units) for number, row in enumerate(rows, start=1))
            written.append(path)
    return written


def _is_frame(row: dict[str, str]) -> bool:
    return bool(row["frame"]) or is_video(Path(row["file"]))


def _line(row: dict[str, str], number: int, units: list[str]) -> str:
    values = [f"{float(row[name] or 0):.2f}" for name in units]
    start = [str(number), "0", f"{float(row['timestamp'] or 0):.3f}", f"{float(row['confidence'] or 0):.2f}"]
    return ", ".join([*start, row["success"], *values]) + "\n"
