"""The verb `predict`: pictures through a run into a table, and into pictures if they are wanted."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from aullava.config.load import resolve
from aullava.config.schema import StrategyConfig
from aullava.inference.conversions import write_openface, write_parquet
from aullava.inference.errors import PredictionError
from aullava.inference.overlay import annotate_videos
from aullava.inference.pictures import Picture, pictures, sources
from aullava.inference.predictor import Predictor
from aullava.inference.record import Record
from aullava.inference.table import skipped
from aullava.prediction_parts import (
    accelerator_for,
    join_parts,
    part,
    predict_part,
    refuse_other_parts,
)
from aullava.training.processes import joined
from aullava.vocabulary import vocabulary

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
        devices: processes, each with a device of its own; they are running already.
        device, dtype, batch_size, detector: as `Predictor.from_run`.
    """

    formats: tuple[str, ...] | None = None
    aus: tuple[str, ...] | None = None
    out: Path | None = None
    overlays: bool = False
    openface: bool = False
    parquet: bool = False
    resume: bool = False
    devices: int = 1
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
        The files that were written, in the process that finishes them.

    Raises:
        PredictionError: nothing to read, nothing to ask, no face in anything, or a place that cannot be
            written to.
        RunError: the run has no weights.
    """
    paths = sources(words)
    if wanted.devices > 1:
        accelerator_for(wanted.device, wanted.devices)  # before a model is built and a folder made
    predictor = Predictor.from_run(
        run,
        wanted.formats,
        wanted.aus,
        "cpu" if wanted.devices > 1 else wanted.device,  # of several, each process moves it to its own
        wanted.dtype,
        wanted.batch_size,
        wanted.detector,
    )
    config = resolve(run / "config.yaml", (), vocabulary()).config
    expectation = config.decoding.intensity == "expectation"
    if wanted.out is None:
        _print(predictor, pictures(paths, _complain))
        return []
    try:
        wanted.out.mkdir(parents=True, exist_ok=True)
        if wanted.overlays:
            (wanted.out / OVERLAYS).mkdir(exist_ok=True)
        write = _write if wanted.devices == 1 else _write_in_parts
        return write(predictor, paths, wanted, wanted.out, expectation)
    except OSError as error:
        raise PredictionError(
            f"nothing can be written into {wanted.out} ({error.strerror}): give another folder"
        ) from None


def _complain(said: str) -> None:
    print(f"aullava: {said}", file=sys.stderr)


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
    predictor: Predictor, paths: Sequence[Path], wanted: Wanted, out: Path, expectation: bool
) -> list[Path]:
    """The table row by row, cards beside it."""
    path = out / f"{TABLE}.csv"
    refuse_other_parts(path, 1)
    record = _record(predictor, path, wanted, out, expectation)
    found = pictures(paths, _complain)
    done = len(record.table.done)
    skipped(record.table.done, (picture.name for picture in islice(found, done)))
    bar = tqdm(predictor.predict(found), initial=done, unit="face", desc="predict", file=sys.stderr)
    try:
        for prediction in bar:
            record.add(prediction)
    finally:
        record.table.close()
    print(predictor.decoder.counts.in_words(), end="")
    return _finished(path, wanted, out, done + record.answered, record.reason)


def _write_in_parts(
    predictor: Predictor, paths: Sequence[Path], wanted: Wanted, out: Path, expectation: bool
) -> list[Path]:
    """The table in parts, one for each process, which the first one joins."""
    path = out / f"{TABLE}.csv"
    refuse_other_parts(path, wanted.devices)
    accelerator = accelerator_for(wanted.device, wanted.devices)
    strategy = StrategyConfig("ddp", wanted.devices)
    with joined(strategy, accelerator) as mine:
        record = _record(predictor, part(path, mine.rank, mine.size), wanted, out, expectation)
        found = pictures(paths, _complain if mine.writes else lambda said: None)
        predict_part(predictor, found, record, mine, strategy, accelerator)
        if not mine.writes:
            return []
        print(predictor.decoder.counts.in_words(), end="")
        answered, reason = join_parts(path, mine.size)
    return _finished(path, wanted, out, answered, reason)


def _record(predictor: Predictor, path: Path, wanted: Wanted, out: Path, expectation: bool) -> Record:
    cards = out / OVERLAYS if wanted.overlays else None
    return Record(path, predictor.questions, wanted.aus, expectation, wanted.resume, cards)


def _finished(path: Path, wanted: Wanted, out: Path, answered: int, reason: str) -> list[Path]:
    """What is made of the finished table."""
    written = [path]
    if wanted.parquet:
        written.append(path.with_suffix(".parquet"))
        write_parquet(path, written[-1])
    if wanted.openface:
        written += write_openface(path, out / OPENFACE)
    if wanted.overlays:
        annotate_videos(path, out / OVERLAYS)
        written.append(out / OVERLAYS)
    _some_answer(answered, reason)
    return written


def _some_answer(answered: int, reason: str) -> None:
    if not answered:
        raise PredictionError(f"no picture has an answer: {reason or 'there was nothing to read'}")
