"""From probabilities to trustworthy ones, and to decisions: per Action Unit a temperature and a threshold.

Both are chosen on the inner validation people of a fold and nobody else. The temperature T (Guo et al., ICML
2017) divides the logit, so that 0.5 stays 0.5 and the raw answer (present from 0.5 on) stays what it was. The
threshold is the probability, after the temperature, from which calling an Action Unit present gives the best
F1; it makes other decisions than the raw answer, so that its scores have names of their own.

Few faces say little. A temperature is held near the one of all Action Units together, or a rare unit that
happens to be told apart without a mistake would get a temperature of 0. And the F1 that a threshold is chosen
by counts the calibrated probability of a face beside its label, the more so the fewer faces show the unit: on
60 to 480 validation faces of three runs it chose thresholds that gained 1 to 6 points of F1 on other people;
labels alone lost up to 2.8 (docs/scores.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from aullava.evaluation.answer_table import AnswerTable, Values
from aullava.evaluation.curves import precision_recall
from aullava.evaluation.errors import ResultError
from datamodules.action_units import UNKNOWN, Scale

Truth = npt.NDArray[np.bool_]
FILE: Final = "calibration.json"
"""In the folder of a run."""
EDGE: Final = 1e-6
"""Probabilities are held so far from 0 and 1: a float32 softmax reaches both."""
SPREAD: Final = 0.2
"""How far, in units of log T, a unit's temperature may easily lie from that of all units together; ours."""
DOUBT: Final = 80.0
"""Faces that show a unit, from which on labels weigh more than probabilities in the choice of a threshold."""
WIDEST: Final = 3.0
"""Largest |log T|."""
DRAWS: Final = 200
"""Draws of people for the band in which an answer is unsure."""
COVERAGE: Final = 0.9
BLOCKS: Final = 20
"""In so many blocks the draws are taken, each a table of draws x faces."""


@dataclass(frozen=True, slots=True)
class UnitCalibration:
    """How to read the probability of one Action Unit.

    Attributes:
        temperature: divides the logit.
        threshold: the calibrated probability from which it is called present.
        unsure_low, unsure_high: between these the decision is unsure: where 90 % of the thresholds lie that
            other people (drawn from the same ones) would have given.
        positives, labels: validation faces that it was chosen on; with one class only, or none, the
            temperature is that of all units and the threshold 0.5.
    """

    temperature: float
    threshold: float
    unsure_low: float
    unsure_high: float
    positives: int
    labels: int


def calibrated(probabilities: Values, temperature: float) -> Values:
    """Probabilities [N] after division of their logits by a temperature; UNKNOWN stays UNKNOWN."""
    inside = np.clip(probabilities, EDGE, 1 - EDGE)
    found: Values = 1 / (1 + np.exp(-np.log(inside / (1 - inside)) / temperature))
    return np.where(probabilities == UNKNOWN, UNKNOWN, found)


def fit_calibration(table: AnswerTable, seed: int = 0) -> dict[str, UnitCalibration]:
    """Temperature, threshold and unsure band of every Action Unit.

    Args:
        table: answers about the inner validation people, with probabilities.
        seed: of the draws of people.

    Raises:
        ValueError: not a table of presence.
    """
    if table.terms.scale is not Scale.PRESENCE:
        raise ValueError(f"Expected answers of presence, but got {table.terms.scale}")
    known = (table.labels != UNKNOWN) & (table.probabilities != UNKNOWN)
    truth = table.labels == 1
    together = _temperature(table.probabilities[known], truth[known], 0.0, 0.0) if known.any() else 1.0
    _, people = np.unique(np.asarray(table.subjects), return_inverse=True)
    weights = _draws(int(people.max()) + 1, seed)
    found = {}
    for at, code in enumerate(table.aus):
        rows = known[:, at]
        p, y, who = table.probabilities[rows, at], truth[rows, at], people[rows]
        found[code] = _unit(p, y, (who, weights), math.log(together))
    return found


def _unit(
    p: Values, y: Truth, people: tuple[npt.NDArray[np.int64], Values], centre: float
) -> UnitCalibration:
    if not y.any() or y.all():
        return UnitCalibration(math.exp(centre), 0.5, 0.5, 0.5, int(y.sum()), len(y))
    temperature = _temperature(p, y, centre, 1 / SPREAD**2)
    scaled = calibrated(p, temperature)
    sure = y.sum() / (y.sum() + DOUBT)
    target: Values = sure * y + (1 - sure) * scaled
    threshold = best_threshold(scaled, target)
    who, weights = people
    drawn = []
    for part in np.array_split(weights, BLOCKS):
        faces = part[:, who]
        drawn.append(_best_thresholds(scaled, target, faces[(faces * y).sum(1) > 0]))
    low, high = np.quantile(np.concatenate(drawn), [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    ends = min(float(low), threshold), max(float(high), threshold)
    return UnitCalibration(temperature, threshold, *ends, int(y.sum()), len(y))


def best_threshold(p: Values, y: Values | Truth) -> float:
    """The threshold with the best F1, half-way to the next lower probability.

    Args:
        p: [N] probabilities.
        y: [N] truth, or how likely it is: then the F1 of expected counts is meant.

    Returns:
        Of equally good thresholds the one nearest to 0.5, which changes the fewest raw answers; 0.5 where
        nothing is present.
    """
    return float(_best_thresholds(p, y, np.ones((1, len(p))))[0])


def _best_thresholds(p: Values, y: Values | Truth, weights: Values) -> Values:
    """As `best_threshold` when each face counts as often as [D, N] weights say: [D]."""
    order = np.argsort(-p, kind="stable")
    last = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))  # equal ones are called together
    upper = p[order][last]
    lower = np.append(upper[1:], 0.0)
    # All thresholds in (lower, upper] decide alike.
    cut = np.where((lower < 0.5) & (upper >= 0.5), 0.5, (lower + upper) / 2)
    weighed = weights[:, order]
    called, hit = weighed.cumsum(1)[:, last], (weighed * y[order]).cumsum(1)
    score = 2 * hit[:, last] / np.maximum(called + hit[:, -1:], EDGE)
    best = score >= score.max(1, keepdims=True) - 1e-12
    chosen: Values = cut[np.where(best, np.abs(cut - 0.5), np.inf).argmin(1)]
    return chosen


def _temperature(p: Values, y: Truth, centre: float, stiffness: float) -> float:
    """The temperature with the least cross-entropy, by golden sections of log T.

    Args:
        p: [N] probabilities.
        y: [N] truth.
        centre: log T that it is held near.
        stiffness: how firmly.
    """
    inside = np.clip(p, EDGE, 1 - EDGE)
    margin = np.log(inside / (1 - inside)) * np.where(y, 1, -1)

    def cost(u: float) -> float:
        return float(np.logaddexp(0, -margin * math.exp(-u)).sum()) + stiffness * (u - centre) ** 2 / 2

    low, high, golden = -WIDEST, WIDEST, (math.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = cost(left), cost(right)
    while high - low > 1e-6:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = cost(right)
    return math.exp((low + high) / 2)


def _draws(people: int, seed: int) -> Values:
    """How often each person is drawn, float64 [DRAWS, people]."""
    drawn = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), size=DRAWS)
    return drawn.astype(np.float64)


def as_text(found: Mapping[str, Mapping[str, UnitCalibration]]) -> str:
    """The file of a run: dataset -> Action Unit -> its numbers, rounded to nine digits."""
    plain = {
        name: {
            code: {key: round(v, 9) if isinstance(v, float) else v for key, v in asdict(one).items()}
            for code, one in units.items()
        }
        for name, units in found.items()
    }
    return json.dumps(plain, indent=1) + "\n"


def read_calibration(run: Path) -> dict[str, dict[str, UnitCalibration]]:
    """What `as_text` wrote into the folder of a run; empty if the run has none.

    Raises:
        ResultError: the file is there and is something else.
    """
    path = run / FILE
    if not path.is_file():
        return {}
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: {code: UnitCalibration(**one) for code, one in units.items()}
            for name, units in plain.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise ResultError(
            f"{path} is no calibration ({error}): make it again with `aullava validate {run}`"
        ) from None


def pr_points(table: AnswerTable, code: str) -> tuple[Values, Values]:
    """Recall and precision of one Action Unit over all thresholds of its probability."""
    at = table.aus.index(code)
    known = (table.labels[:, at] != UNKNOWN) & (table.probabilities[:, at] != UNKNOWN)
    curve = precision_recall(table.probabilities[known, at], table.labels[known, at] == 1)
    return curve.recall, curve.precision
