"""The verb `predict`: pictures through a run into a table, and into pictures if they are wanted."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from aullava.config.load import resolve
from aullava.inference.conversions import write_openface, write_parquet
from aullava.inference.errors import PredictionError
from aullava.inference.overlay import AnnotatedVideo, annotated, card
from aullava.inference.pictures import Picture, is_video, pictures, sources
from aullava.inference.predictor import Prediction, Predictor
from aullava.inference.table import Columns, Row, TableFile, skipped
from aullava.training.run_folder import whole_file
from aullava.vocabulary import vocabulary
from datamodules.video import frame_rate

TABLE = "predictions"
OVERLAYS, OPENFACE = "overlays", "openface"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a user asks of `predict`.

    Attributes:
        formats, aus: which questions and columns; None: all of the run's.
        out: folder for the table; None: the answers are printed only.
        overlays: also draw a card for each picture and an annotated video for each video.
        openface: also write the table as OpenFace would.
        parquet: also write it as Parquet.
        resume: go on with a table that was not finished.
        device, dtype, batch_size, detector: as `Predictor.from_run`.
    """

    formats: tuple[str, ...] | None = None
    aus: tuple[str, ...] | None = None
    out: Path | None = None
    overlays: bool = False
    openface: bool = False
    parquet: bool = False
    resume: bool = False
    device: str = "auto"
    dtype: str | None = None
    batch_size: int | None = None
    detector: str | None = None


def predict(run: Path, words: Sequence[str], wanted: Wanted) -> list[Path]:
    """Answer for pictures and videos.

    Args:
        run: folder of the run.
        words: files, folders, patterns, prepared stores, videos.
        wanted: what to ask and to write.

    Returns:
        The files that were written.

    Raises:
        PredictionError: nothing to read, nothing to ask, no face in anything, or a place that cannot be
            written to.
        RunError: the run has no weights.
    """
    paths = sources(words)
    if wanted.resume and wanted.overlays and any(map(is_video, paths)):
        raise PredictionError(
            "an annotated video cannot be gone on with: leave --overlays out, or give a new --out"
        )
    predictor = Predictor.from_run(
        run,
        wanted.formats,
        wanted.aus,
        wanted.device,
        wanted.dtype,
        wanted.batch_size,
        wanted.detector,
    )
    config = resolve(run / "config.yaml", (), vocabulary()).config
    expectation = config.decoding.intensity == "expectation"
    found = pictures(paths, lambda said: print(f"aullava: {said}", file=sys.stderr))
    if wanted.out is None:
        _print(predictor, found)
        return []
    try:
        wanted.out.mkdir(parents=True, exist_ok=True)
        return _write(predictor, found, wanted, expectation)
    except OSError as error:
        raise PredictionError(
            f"nothing can be written into {wanted.out} ({error.strerror}): give another folder"
        ) from None


def _print(predictor: Predictor, found: Iterator[Picture]) -> None:
    """The answers as text; a reason where there is none."""
    answered, last = 0, ""
    for prediction in predictor.predict(found):
        file, frame = prediction.picture.name
        print(f"{file} {frame}".rstrip())
        for answer in prediction.answers:
            print(f"  {answer.scale:<9}  {answer.text}")
        if prediction.reason:
            print(f"  {prediction.reason}")
        answered += not prediction.reason
        last = prediction.reason
    _some_answer(answered, last)


def _write(
    predictor: Predictor, found: Iterator[Picture], wanted: Wanted, expectation: bool
) -> list[Path]:
    """The table row by row, overlays beside it, other formats from the finished table."""
    assert wanted.out is not None
    columns = Columns(predictor.questions, wanted.aus)
    table = TableFile(wanted.out / f"{TABLE}.csv", columns.header, wanted.resume)
    done = len(table.done)
    skipped(table.done, (picture.name for picture in islice(found, done)))
    drawings = _Drawings(wanted.out / OVERLAYS, done) if wanted.overlays else None
    answered, last = done, ""
    bar = tqdm(predictor.predict(found), initial=done, unit="face", desc="predict", file=sys.stderr)
    try:
        for prediction in bar:
            row = Row.of(prediction, predictor.questions, expectation)
            table.write(columns.cells(prediction, row))
            if drawings is not None:
                drawings.add(prediction, row)
            answered += not prediction.reason
            last = prediction.reason or last
    finally:
        table.close()
        if drawings is not None:
            drawings.close()
    counts = predictor.decoder.counts
    if counts.rows:
        sure = counts.certified / counts.rows
        print(f"{counts.passes_per_row:.2f} passes an answer, {sure:.1%} of the answers certified")
    written = [table.path]
    if wanted.parquet:
        written.append(table.path.with_suffix(".parquet"))
        write_parquet(table.path, written[-1])
    if wanted.openface:
        written += write_openface(table.path, wanted.out / OPENFACE)
    if drawings is not None:
        written.append(drawings.folder)
    _some_answer(answered, last)
    return written


def _some_answer(answered: int, reason: str) -> None:
    if not answered:
        raise PredictionError(f"no picture has an answer: {reason or 'there was nothing to read'}")


class _Drawings:
    """Cards of pictures and annotated videos, in the order of the predictions.

    Args:
        folder: for them.
        done: pictures of an earlier run.
    """

    def __init__(self, folder: Path, done: int) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._number = done
        self._file = ""
        self._video: AnnotatedVideo | None = None

    def add(self, prediction: Prediction, row: Row) -> None:
        """Draw one prediction."""
        self._number += 1
        picture = prediction.picture
        if picture.frame is not None:
            self._frame(prediction, row)
            return
        drawn = card(prediction)
        if drawn is not None:
            stem = Path(picture.file).stem
            with whole_file(self.folder / f"{self._number:04d}_{stem}.png") as drawing:
                Image.fromarray(drawn).save(drawing)

    def _frame(self, prediction: Prediction, row: Row) -> None:
        file = prediction.picture.file
        if file != self._file:
            self.close()
            self._file = file
            path = self.folder / f"{self._number:04d}_{Path(file).stem}.mp4"
            self._video = AnnotatedVideo(path, frame_rate(Path(file)))
        if self._video is not None and prediction.image is not None:
            self._video.write(annotated(prediction, row))

    def close(self) -> None:
        """Finish the video at hand."""
        if self._video is not None:
            self._video.close()
        self._video = None
