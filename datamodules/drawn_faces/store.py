"""Drawn faces on disk: drawn once, in parallel, then read like any other dataset's pictures.

The file's name carries a fingerprint of the drawing code, so that a store is never read by code that would
draw otherwise. It is written under a temporary name and renamed when it is complete.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from datamodules.cores import usable_cores
from datamodules.drawn_faces.scene import draw_face
from datamodules.whole_file import whole_file

Face = tuple[int, int]  # person, number of the face
_CHUNK = 64
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def drawing_fingerprint() -> str:
    """A short hash of what decides the pixels: the code of this package and the libraries' versions."""
    digest = hashlib.sha256(f"{np.__version__} {cv2.__version__}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def store_path(root: Path, population: int, faces: Sequence[Face], size: int) -> Path:
    """Where these faces are kept below ``root``."""
    wanted = hashlib.sha256(repr((population, list(faces), size)).encode()).hexdigest()[:12]
    return root / f"faces-{size}px-{wanted}-{drawing_fingerprint()}.npy"


def _draw_chunk(job: tuple[int, Sequence[Face], int]) -> npt.NDArray[np.uint8]:
    population, faces, size = job
    cv2.setNumThreads(1)
    return np.stack([draw_face(population, person, number, size)[0] for person, number in faces])


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started inside compute on one thread each.

    Threads of several processes on the same cores wait for each other: on two, faces took five times as long.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ |= dict.fromkeys(_THREADS, "1")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def ensure_store(path: Path, population: int, faces: Sequence[Face], size: int) -> None:
    """Draw the faces into ``path`` unless it is there.

    Args:
        path: from `store_path`.
        population: seed of the population.
        faces: what to draw, in the order of the rows.
        size: side of the pictures in pixels.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    jobs = [(population, faces[start : start + _CHUNK], size) for start in range(0, len(faces), _CHUNK)]
    with whole_file(path) as draft:
        rows = np.lib.format.open_memmap(draft, "w+", np.uint8, (len(faces), size, size, 3))
        workers = min(len(jobs), usable_cores())
        with (
            _one_thread_each(),
            ProcessPoolExecutor(workers, get_context("spawn")) as pool,
            tqdm(total=len(faces), desc="drawing faces", unit="face", leave=False) as bar,
        ):
            for number, chunk in enumerate(pool.map(_draw_chunk, jobs)):
                rows[number * _CHUNK : number * _CHUNK + len(chunk)] = chunk
                bar.update(len(chunk))
        rows.flush()


def open_store(path: Path) -> npt.NDArray[np.uint8]:
    """The drawn faces, uint8 [N, S, S, 3], mapped from disk."""
    return np.asarray(np.load(path, mmap_mode="r"))
