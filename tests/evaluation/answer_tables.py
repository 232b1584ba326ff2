"""Tables of answers with known properties, for the tests of everything that is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from aullava.evaluation.answer_table import AnswerTable, Terms
from datamodules.action_units import UNKNOWN, Scale

AUS = ("AU1", "AU2", "AU12")


def terms(scale: Scale = Scale.PRESENCE, **changed: Any) -> Terms:
    """Terms of a small dataset."""
    present = {Scale.PRESENCE: 0.5, Scale.LEVEL: 2.0, Scale.INTENSITY: None}[scale]
    plain = {"dataset": "faces", "protocol": "thirds v1", "folds": "f", "aus": AUS, "scale": scale}
    return Terms.of({**plain, "present_from": present, "data": "d", "faces": None, **changed})


def presence_table(
    people: int = 12,
    faces: int = 50,
    sharpness: float = 2.0,
    seed: int = 0,
    fold: int = 1,
    shift: float = 0.0,
    **changed: Any,
) -> AnswerTable:
    """Faces whose probabilities are too sure by a known factor, or whose logits are shifted.

    Args:
        people: in it; `faces`: of each.
        sharpness: the temperature that makes the probabilities true.
        seed: of everything.
        fold: of the table.
        shift: added to the logits that are said.
        changed: fields of the terms.
    """
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 1.5, (people * faces, len(AUS)))
    labels = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float64)
    labels[rng.random(labels.shape) < 0.03] = UNKNOWN
    labels[(labels == UNKNOWN).all(1), 0] = 0
    said = 1 / (1 + np.exp(-sharpness * logits - shift))
    names = [f"S{fold}{person:02d}" for person in range(people) for _ in range(faces)]
    ids = [f"{name}/{number % faces:03d}" for number, name in enumerate(names)]
    groups: npt.NDArray[np.str_] = np.where(np.arange(len(ids)) % 3 == 0, "smile", "rest")
    return AnswerTable(
        terms(**changed),
        fold,
        ids,
        names,
        labels,
        (said >= 0.5).astype(np.float64),
        said,
        {"task": groups.tolist()},
    )
