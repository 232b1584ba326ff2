"""How much faster prepared crops are read than what datasets come as, and how close to the bare JPEG decoder.

    python benchmarks/data_loading.py [--small]

Everything is read on one thread from files that are in memory after the first turn: what is compared is the
processor time of decoding and overhead, not discs. The readers take turns (A B A B), so that ratios hold on a
machine that others use too. The originals are drawn: JPEGs of BP4D's size, a video of DISFA's size.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datamodules.drawn_faces.scene import draw_face
from datamodules.faces import FaceFinder, FaceSettings
from datamodules.images import read_image
from datamodules.store import FaceStore
from datamodules.store_contents import write_contents
from datamodules.store_records import Record, Shard, write_shard
from datamodules.store_settings import StoreFile, StorePage, StoreSettings, write_page
from datamodules.video import Videos

RESULTS = Path(__file__).resolve().parent / "results"
SIZE, QUALITY = 224, 95
FACE = 560  # pixels of the face in a frame of either original
Read = Callable[[int], object]
WANTED = {
    "original JPEG 1040x1392": (">=", 10.0),
    "video 1024x768, random": (">=", 10.0),
    "video 1024x768, in order": (">=", 2.0),
    "bare decoder, 224 px": ("<=", 1.2),
}


def frames(count: int, width: int, height: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Frames with a face in front of something with detail, uint8 [height, width, 3], one after the other."""
    generator = np.random.default_rng(1)
    coarse = generator.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    behind = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    faces = [draw_face(0, number, 0, FACE)[0] for number in range(min(count, 12))]
    for number in range(count):
        image = np.roll(behind, number, axis=1)
        left, top = (width - FACE) // 2 + number % 9, (height - FACE) // 2
        image[top : top + FACE, left : left + FACE] = faces[(number // 4) % len(faces)]
        yield image


def write_originals(folder: Path, count: int) -> tuple[list[Path], Path]:
    """JPEGs of 1040x1392 and a video of 1024x768 (MPEG-4, as DISFA's), ``count`` frames each."""
    pictures = []
    for number, image in enumerate(frames(count, 1040, 1392)):
        pictures.append(folder / f"{number:05d}.jpg")
        Image.fromarray(image).save(pictures[-1], quality=QUALITY)
    video = folder / "video.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"XVID"), 20.0, (1024, 768))
    for image in frames(count, 1024, 768):
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()
    return pictures, video


def write_crops(
    folder: Path, pictures: Sequence[Path]
) -> tuple[FaceStore, list[Path], list[npt.NDArray[np.uint8]]]:
    """The faces of these pictures as a store, as a folder of JPEG files, and as JPEG bytes in memory."""
    settings = StoreSettings("benchmark", "", FaceSettings(size=SIZE), QUALITY, "yunet")
    finder = FaceFinder(settings.faces)
    files, held, records = [], [], []
    for number, path in enumerate(pictures):
        crop = finder.crop(read_image(path))
        assert crop is not None, "the drawn face is found"
        image = cv2.cvtColor(crop.image, cv2.COLOR_RGB2BGR)
        jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        marks = tuple(crop.landmarks.ravel().tolist())
        held.append(jpeg.ravel())
        files.append(folder / f"crop{number:05d}.jpg")
        files[-1].write_bytes(jpeg.tobytes())
        records.append(
            Record(f"P/{number:05d}", "P", path.name, jpeg.tobytes(), None, crop.box, marks, crop.score)
        )
    store, shard = folder / "store", "shards/00000.arrow"
    (store / "shards").mkdir(parents=True)
    write_shard(store / shard, settings.identity(), records)
    crc = write_contents(store, [Shard(store / shard).listing()])
    write_page(store, StorePage(settings, (StoreFile.of(store, shard, len(records)),), crc))
    return FaceStore.open(store), files, held


def readers(folder: Path, count: int) -> dict[str, tuple[Read, bool]]:
    """Every way of reading frame n, and whether it is asked in order (or at random)."""
    pictures, video = write_originals(folder, count)
    store, files, held = write_crops(folder, pictures)
    ids = [f"P/{number:05d}" for number in range(count)]
    random_video, ordered_video = Videos(), Videos()
    random_video.frame(video, count - 1)  # the way through the whole video, once
    return {
        "prepared crops": (lambda n: store.read(ids[n]), False),
        "bare decoder, 224 px": (lambda n: cv2.imdecode(held[n], cv2.IMREAD_COLOR_RGB), False),
        "plain PIL folder, 224 px": (lambda n: np.array(Image.open(files[n]).convert("RGB")), False),
        "original JPEG 1040x1392": (lambda n: read_image(pictures[n]), False),
        "video 1024x768, random": (lambda n: random_video.frame(video, n), False),
        "video 1024x768, in order": (lambda n: ordered_video.frame(video, n), True),
    }


def measure(ways: dict[str, tuple[Read, bool]], count: int, turns: int) -> dict[str, list[float]]:
    """Microseconds per picture of each way in each turn; the ways take turns in an order that changes."""
    generator = random.Random(7)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    # About as long for each: a slow way reads fewer pictures in a turn.
    amounts = {}
    for name, (read, _) in ways.items():
        start = time.process_time()
        for number in range(3):
            read(number)
        amounts[name] = min(count, max(12, round(0.3 * 3 / (time.process_time() - start))))
    for turn in range(turns):
        for name in sorted(ways, key=lambda _: generator.random()):
            read, in_order = ways[name]
            amount = amounts[name]
            first = (turn * amount) % max(1, count - amount + 1) if in_order else 0
            asked = range(first, first + amount) if in_order else generator.choices(range(count), k=amount)
            if in_order:
                read(first)  # the jump to the start of the turn is not reading in order
            start = time.process_time()
            for number in asked:
                read(number)
            taken[name].append((time.process_time() - start) / amount * 1e6)
    return taken


def report(taken: dict[str, list[float]]) -> dict[str, object]:
    """Medians, ratios and whether each is as it must be; printed as a table."""
    medians = {name: statistics.median(times) for name, times in taken.items()}
    ours = medians["prepared crops"]
    rows = {}
    print(f"{'':<28}{'us/picture':>12}{'pictures/s':>12}   ratio to prepared crops")
    for name, median in medians.items():
        bare = name.startswith("bare")
        # Turn by turn, so that a slow moment of the machine falls on both sides.
        pairs = zip(taken[name], taken["prepared crops"], strict=True)
        ratio = statistics.median(b / a if bare else a / b for a, b in pairs)
        sign, bound = WANTED.get(name, ("", 0.0))
        held = None if not sign else (ratio >= bound if sign == ">=" else ratio <= bound)
        said = "" if name == "prepared crops" else f"{ratio:.2f}x"
        said += "" if held is None else f"  (must be {sign} {bound:g}: {'yes' if held else 'NO'})"
        said += "  of its time are the crops'" if bare else ""
        print(f"{name:<28}{median:>12.0f}{1e6 / median:>12.0f}   {said}")
        rows[name] = {"us": median, "turns": taken[name], "ratio": ratio, "held": held}
    print(f"prepared crops: {1e6 / ours:.0f} pictures/s on one thread")
    return {"rows": rows, "wanted": {name: list(bound) for name, bound in WANTED.items()}}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--small", action="store_true", help="fewer pictures and turns")
    small = parser.parse_args().small
    cv2.setNumThreads(1)
    count, turns = (120, 7) if small else (600, 15)
    with tempfile.TemporaryDirectory() as folder:
        result = report(measure(readers(Path(folder), count), count, turns))
    result |= {"pictures": count, "machine": platform.platform(), "opencv": cv2.__version__}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "data_loading.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {RESULTS / 'data_loading.json'}")


if __name__ == "__main__":
    main()
