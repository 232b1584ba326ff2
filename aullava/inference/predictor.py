"""A trained run as something to ask: pictures in, answers out, in batches and in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Self

import numpy as np
import torch

from aullava.build import DTYPES, build_collator, build_fast_decoder, build_model
from aullava.config.load import resolve
from aullava.decoding.one_pass import OnePass
from aullava.inference.pictures import Image, Picture
from aullava.inference.questions import Cutter, Question, run_questions
from aullava.probe_files import KeptProbes
from aullava.text.answer import Answer
from aullava.training.checkpoint import load_weights
from aullava.vocabulary import vocabulary
from datamodules.errors import DatasetError
from datamodules.faces import FaceCrop

NO_FACE = "no face found"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was found out about one picture.

    Attributes:
        picture: it.
        image: RGB uint8 [H, W, 3] as read; None if it could not be.
        face: the crop that the first question saw; None without a face.
        answers: one for each question of the predictor, in order; empty without a face.
        reason: why there are none; else empty.
    """

    picture: Picture
    image: Image | None
    face: FaceCrop | None
    answers: tuple[Answer, ...]
    reason: str


@dataclass(slots=True)
class ReadPicture:
    """A picture on its way.

    Attributes:
        picture: it.
        image: RGB uint8 [H, W, 3]; None if it could not be read.
        faces: crops, by how they were cut.
        reason: why nothing can be asked about it; else empty.
    """

    picture: Picture
    image: Image | None = None
    faces: dict[Cutter, FaceCrop] = field(default_factory=dict)
    reason: str = ""


class Predictor:
    """Asks a trained model; `from_run` makes one.

    Args:
        decoder: writes the answers.
        questions: what is asked about every face.
        batch_size: faces looked at together.

    Attributes:
        decoder: its `counts` say how many passes the answers took.
    """

    def __init__(self, decoder: OnePass, questions: Sequence[Question], batch_size: int) -> None:
        self.decoder = decoder
        self.questions = tuple(questions)
        self.batch_size = batch_size

    @classmethod
    def from_run(
        cls,
        run: str | Path,
        formats: Sequence[str] | None = None,
        aus: Sequence[str] | None = None,
        device: str = "auto",
        dtype: str | None = None,
        batch_size: int | None = None,
        detector: str | None = None,
    ) -> Self:
        """The model of a run with its trained weights.

        Args:
            run: folder of the run.
            formats: presence, level, intensity; None: those that it was trained on.
            aus: codes that matter; questions about none of them are not asked.
            device: in torch's words; auto: a GPU if there is one.
            dtype: float32 or bfloat16 for all weights; None: as in training.
            batch_size: faces looked at together; None: `data.eval_batch_size` of the run.
            detector: cuts faces out also where training showed whole pictures.

        Raises:
            ConfigError, RunError, PredictionError: no run, no weights, or nothing of what is wanted.
        """
        folder = Path(run)
        config = resolve(folder / "config.yaml", (), vocabulary()).config
        questions = run_questions(folder, config, formats, aus, detector)
        model = build_model(config)
        load_weights(model, folder)
        if dtype is not None:
            model.to(DTYPES[dtype])
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        model.to(device).eval()
        collator = build_collator(config, model)
        decoder = build_fast_decoder(config, model, collator, KeptProbes.of_run(folder))
        return cls(decoder, questions, batch_size or config.data.eval_batch_size)

    def predict(self, pictures: Iterable[Picture]) -> Iterator[Prediction]:
        """Answers about pictures, in order; holds one batch at a time.

        Frames of a video are drafted with those before.
        """
        for batch in self.batches(pictures):
            yield from self.answered(batch)

    def batches(self, pictures: Iterable[Picture]) -> Iterator[list[ReadPicture]]:
        """Pictures with their faces, to be handed to `answered` in this order."""
        rows = (self._read(picture) for picture in pictures)
        while batch := list(islice(rows, self.batch_size)):
            yield batch

    def predict_images(self, images: Sequence[Image]) -> list[Prediction]:
        """Answers about pictures RGB uint8 [H, W, 3]."""
        named = [Picture(str(number), partial(np.asarray, image)) for number, image in enumerate(images)]
        return list(self.predict(named))

    def _read(self, picture: Picture) -> ReadPicture:
        """Read a picture and cut its face out, in every way that a question needs."""
        row = ReadPicture(picture, reason=picture.reason)
        if row.reason:
            return row
        try:
            row.image = picture.read()
        except DatasetError as error:
            row.reason = str(error)
            return row
        for question in self.questions:
            if question.cutter not in row.faces:
                face = question.cutter.cut(row.image, picture.cut)
                if face is None:
                    row.reason = NO_FACE
                    break
                row.faces[question.cutter] = face
        return row

    def answered(self, batch: Sequence[ReadPicture]) -> Iterator[Prediction]:
        """Answers about one batch, in order."""
        rows = [row for row in batch if not row.reason]
        answers: dict[tuple[int, Question], Answer] = {}
        for cutter in {question.cutter: None for question in self.questions}:
            questions = [question for question in self.questions if question.cutter is cutter]
            if not rows:
                continue
            features = self.decoder.see([row.faces[cutter].image for row in rows])
            for part in _parts(rows, features.device.type == "cpu"):
                # One tensor for all questions: what was read of a face is known by it.
                seen, asked = features[part.start : part.stop], rows[part.start : part.stop]
                names, video = [row.picture.file for row in asked], asked[0].picture.video
                for question in questions:
                    said = self.decoder.ask(seen, names, question.aus, question.scale, video)
                    answers |= {(id(row), question): one for row, one in zip(asked, said, strict=True)}
        for row in batch:
            if row.reason:
                yield Prediction(row.picture, row.image, None, (), row.reason)
                continue
            found = tuple(answers[id(row), question] for question in self.questions)
            yield Prediction(row.picture, row.image, row.faces[self.questions[0].cutter], found, "")


def _parts(rows: Sequence[ReadPicture], alone: bool) -> Iterator[range]:
    """Rows that are asked about together: pictures, or frames of one video.

    Args:
        rows: of a batch.
        alone: every frame by itself. On a CPU that costs no more than in a batch, and its draft is better.
    """
    start = 0
    for video, group in groupby(rows, lambda row: row.picture.video):
        stop = start + len(list(group))
        step = 1 if alone and video is not None else stop - start
        yield from (range(first, min(first + step, stop)) for first in range(start, stop, step))
        start = stop
