"""Which file format for prepared crops: the same 224 px JPEGs in several, read in random order.

    python benchmarks/store_formats.py [--small]

Arrow IPC is what the store is; Parquet, tar (WebDataset's container, read by offsets) and LMDB (if the
package lmdb is installed; nothing else here needs it) are what it was held against. Time is processor time,
in turns.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import statistics
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datamodules.drawn_faces.scene import draw_face

RESULTS = Path(__file__).resolve().parent / "results"
GROUP = 100  # rows that Parquet decodes to get at one
Read = Callable[[int], Any]
Format = Callable[[Path, Sequence[str], Sequence[bytes]], Read]


def crops(count: int) -> tuple[list[str], list[bytes]]:
    """Names and JPEGs; the bytes behind the end of each make them all different."""
    faces = [draw_face(0, number, 0, 224)[0] for number in range(40)]
    jpegs = [cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for face in faces]
    names = [f"F{number // 400:03d}/T1/{number % 400:04d}" for number in range(count)]
    return names, [jpegs[number % 40] + number.to_bytes(8) for number in range(count)]


def _table(names: Sequence[str], jpegs: Sequence[bytes]) -> Any:
    return pa.table({"sample_id": list(names), "jpeg": pa.array(jpegs, pa.binary())})


def arrow(path: Path, names: Sequence[str], jpegs: Sequence[bytes]) -> Read:
    """Write Arrow IPC and map it."""
    table = _table(names, jpegs)
    with path.open("wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    column = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0).column(1)
    offsets, values = (
        np.frombuffer(column.buffers()[1], np.int32),
        np.frombuffer(column.buffers()[2], np.uint8),
    )
    keys = np.array([name.encode() for name in names])

    def read(number: int) -> Any:
        row = int(np.searchsorted(keys, np.bytes_(names[number].encode())))
        return values[offsets[row] : offsets[row + 1]]

    return read


def parquet(path: Path, names: Sequence[str], jpegs: Sequence[bytes]) -> Read:
    """Write Parquet without compression (JPEGs have theirs) and read by row groups."""
    pq.write_table(_table(names, jpegs), path, row_group_size=GROUP, compression="none", use_dictionary=False)
    file = pq.ParquetFile(path, memory_map=True)

    def read(number: int) -> Any:
        group, row = divmod(number, GROUP)
        return np.frombuffer(file.read_row_group(group, ["jpeg"])["jpeg"][row].as_buffer(), np.uint8)

    return read


def tar(path: Path, names: Sequence[str], jpegs: Sequence[bytes]) -> Read:
    """Write a tar and read by offsets, which a tar itself does not hold: they are collected first."""
    with tarfile.open(path, "w") as file:
        for name, jpeg in zip(names, jpegs, strict=True):
            member = tarfile.TarInfo(name)
            member.size = len(jpeg)
            file.addfile(member, io.BytesIO(jpeg))
    with tarfile.open(path) as file:
        places = {member.name: (member.size, member.offset_data) for member in file}
    handle = os.open(path, os.O_RDONLY)
    return lambda number: np.frombuffer(os.pread(handle, *places[names[number]]), np.uint8)


def lmdb(path: Path, names: Sequence[str], jpegs: Sequence[bytes]) -> Read:
    """Write an LMDB and read in one transaction."""
    import lmdb as package

    with package.open(str(path), subdir=False, map_size=1 << 36) as writing, writing.begin(write=True) as put:
        for name, jpeg in zip(names, jpegs, strict=True):
            put.put(name.encode(), jpeg)
    get = package.open(str(path), subdir=False, readonly=True, lock=False).begin(buffers=True).get
    return lambda number: np.frombuffer(get(names[number].encode()), np.uint8)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--small", action="store_true", help="fewer pictures and turns")
    count, turns = (1000, 5) if parser.parse_args().small else (8000, 11)
    cv2.setNumThreads(1)
    names, jpegs = crops(count)
    generator = random.Random(7)
    formats: list[Format] = [arrow, parquet, tar] + ([lmdb] if find_spec("lmdb") else [])
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {one.__name__: Path(folder) / one.__name__ for one in formats}
        ways = {one.__name__: one(files[one.__name__], names, jpegs) for one in formats}
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(turns):
            asked = generator.choices(range(count), k=400)
            for name, read in ways.items():
                start = time.process_time()
                for number in asked:
                    zlib.crc32(read(number))
                taken[name].append((time.process_time() - start) / len(asked) * 1e6)
        raw = sum(map(len, jpegs))
        print(f"{'':<10}{'us to read + CRC':>18}{'times Arrow':>14}{'size / JPEGs':>14}")
        for name, file in files.items():
            ratio = statistics.median(b / a for a, b in zip(taken["arrow"], taken[name], strict=True))
            row = {"us": statistics.median(taken[name]), "ratio": ratio, "size": file.stat().st_size / raw}
            print(f"{name:<10}{row['us']:>18.1f}{ratio:>14.2f}{row['size']:>14.3f}")
            result[name] = row
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "store_formats.json").write_text(
        json.dumps({"pictures": count, "formats": result}, indent=1) + "\n"
    )
    print(f"written: {RESULTS / 'store_formats.json'}")


if __name__ == "__main__":
    main()
