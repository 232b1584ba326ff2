"""What the scores of a run are set beside: a linear probe on the same features, and constant answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aullava.evaluation.constants import always_present, always_zero, training_mean
from aullava.evaluation.feature_space import FeatureSpace
from aullava.evaluation.probe import Criterion, LinearProbe, ProbeAnswers
from aullava.evaluation.scores import ScoreBook
from aullava.features import FaceFeatures
from aullava.models.vision import ImagePreprocessor, VisionEncoder
from datamodules.action_units import Scale
from datamodules.base import AUDataModule
from datamodules.formats import own_thresholds

MAX_TRAINING_FACES = 5000
"""The probe learns on at most so many faces, evenly spread: its kernel grows with their square."""

PROBE, PRESENT, ZERO, MEAN = "linear_probe", "always_present", "always_zero", "training_mean"


class Baselines:
    """Fits and scores the baselines of several datasets; features of shared pictures are computed once.

    Args:
        encoder: the frozen encoder of the run.
        preprocess: its image preprocessor.

    Attributes:
        probes: the linear probe of every dataset that was scored.
    """

    def __init__(self, encoder: VisionEncoder, preprocess: ImagePreprocessor) -> None:
        self._features = FaceFeatures(encoder, preprocess)
        self.probes: dict[str, LinearProbe] = {}
        self._spaces: dict[tuple[str, tuple[int, ...]], FeatureSpace] = {}

    def scores(self, data: AUDataModule, limit: int | None) -> dict[str, dict[str, float]]:
        """Scores of every baseline on the test faces of one dataset, as `ScoreBook.compute` names them.

        Args:
            data: the dataset, set up.
            limit: test faces used; None: all.
        """
        train, val = data.rows("train", MAX_TRAINING_FACES), data.rows("val", MAX_TRAINING_FACES // 4)
        test = data.rows("test", limit)
        scale, count = data.coded_scale(), len(data.asked_aus)
        target = torch.from_numpy(data.index.labels[train])
        truth = torch.from_numpy(data.index.labels[test])
        probe = LinearProbe.fit(
            self._space(data, train),
            target,
            (self._features.of(data, val).flatten(1), torch.from_numpy(data.index.labels[val])),
            aus=data.asked_aus,
            scale=scale,
            criterion=Criterion.PCC,
        )
        self.probes[data.name] = probe
        answers = probe.answer(self._features.of(data, test).flatten(1))
        constants = {ZERO: always_zero(len(test), count)}
        if scale is not Scale.INTENSITY:
            constants[PRESENT] = always_present(len(test), count, scale)
        if scale is not Scale.PRESENCE:  # the rounded mean of a rare AU is "absent": always_zero shows it
            constants[MEAN] = training_mean(target, len(test), scale)
        book = ScoreBook(data.asked_aus, scale, own_thresholds(data))
        said = {PROBE: answers} | {name: ProbeAnswers(values, None) for name, values in constants.items()}
        return {name: _scored(book, one, truth) for name, one in said.items()}

    def _space(self, data: AUDataModule, rows: Sequence[int]) -> FeatureSpace:
        key = (data.pictures(), tuple(rows))
        if key not in self._spaces:
            self._spaces[key] = FeatureSpace(self._features.of(data, rows).flatten(1))
        return self._spaces[key]


def _scored(book: ScoreBook, answers: ProbeAnswers, truth: Tensor) -> dict[str, float]:
    book.reset()
    present = None if answers.present is None or book.scale is Scale.PRESENCE else answers.present
    book.update(answers.values, truth, present=present)
    return book.compute()
