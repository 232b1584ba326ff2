"""What the muscles do: the amounts of the facial actions of one moment, and the AU values that follow.

A face has one set of *actions* (left and right apart wherever the muscle is paired and FEAFA scores the sides
apart); the AU values of every synthetic dataset are read off the same set, so that the three datasets show
the same faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

PAIRED = ("AU1", "AU2", "AU4", "AU5", "AU12", "AU20", "AU43")
SINGLE = (
    "AU6", "AU7", "AU9", "AU10", "AU14", "AU15", "AU16", "AU17", "AU18", "AU23", "AU24", "AU25", "AU26",
    "AU28T", "AU28B", "AD29", "AD30L", "AD30R", "AD34",
)  # fmt: skip
ACTIONS = tuple(f"{code}{side}" for code in PAIRED for side in "LR") + SINGLE

# Probability that an action takes part in a face (before exclusions); ours, chosen so that after them every
# AU is non-zero in at least 15 % of the faces and its presence (amount >= 0.5) lies between 10 and 50 %.
_PARTICIPATION: Mapping[str, float] = {
    "AU1": 0.33, "AU2": 0.33, "AU4": 0.35, "AU5": 0.53, "AU6": 0.36, "AU7": 0.49, "AU9": 0.27, "AU10": 0.43,
    "AU12": 0.88, "AU14": 0.40, "AU15": 0.47, "AU16": 0.42, "AU17": 0.33, "AU18": 0.95, "AU20": 0.90,
    "AU23": 0.48, "AU24": 0.83, "AU25": 0.59, "AU26": 0.37, "AU28T": 0.71, "AU28B": 0.74, "AU43": 0.47,
    "AD29": 0.28, "AD30L": 0.26, "AD30R": 0.25, "AD34": 0.50,
}  # fmt: skip

# Actions that cannot be shown together, or hide one another: whichever is asked first stays.
_EXCLUSIVE: tuple[tuple[str, str], ...] = (
    ("AU5", "AU43"), ("AU5", "AU7"), ("AU7", "AU43"), ("AU6", "AU5"),
    ("AU12", "AU15"), ("AU12", "AU18"), ("AU12", "AU20"), ("AU15", "AU20"), ("AU18", "AU20"),
    ("AU18", "AU14"), ("AU14", "AU20"), ("AU24", "AU25"), ("AU28T", "AU28B"), ("AU28T", "AU10"),
    ("AU28B", "AU16"), ("AU16", "AU17"), ("AU18", "AU23"), ("AU18", "AU24"), ("AU18", "AU28T"),
    ("AU18", "AU28B"), ("AU23", "AU28T"), ("AU23", "AU28B"), ("AU24", "AU28T"), ("AU24", "AU28B"),
    ("AU24", "AU16"), ("AU24", "AU10"), ("AU24", "AU26"), ("AD30L", "AD30R"), ("AD34", "AU25"),
    ("AD34", "AU12"), ("AD29", "AU28B"), ("AD34", "AU20"),
)  # fmt: skip

_RIVALS = {code: {a if b == code else b for a, b in _EXCLUSIVE if code in (a, b)} for code in _PARTICIPATION}

# A paired muscle's sides move apart this often (else they differ by a few hundredths only).
_ONE_SIDED = 0.30


@dataclass(frozen=True, slots=True)
class Actions:
    """Amounts in [0, 1] of every code in :data:`ACTIONS` (L and R are the subject's own sides)."""

    amounts: Mapping[str, float]

    def __getitem__(self, code: str) -> float:
        return self.amounts.get(code, 0.0)

    def both(self, code: str) -> float:
        """Mean of the two sides of a paired action, or the amount of a single one."""
        return 0.5 * (self[code + "L"] + self[code + "R"]) if code in PAIRED else self[code]

    def mirrored(self) -> Actions:
        """The same face seen in a mirror: left and right swapped."""
        swap = {"L": "R", "R": "L"}
        return Actions({(c[:-1] + swap[c[-1]] if c[-1] in swap else c): a for c, a in self.amounts.items()})


def _amount(rng: np.random.Generator) -> float:
    """A non-zero amount: traces (weak) and clear movements (strong), all of (0, 1] on both sides of 0.5."""
    weak = rng.uniform() < 0.36
    return float(np.clip(rng.beta(2.2, 5.0) if weak else rng.beta(5.0, 2.2), 0.02, 1.0))


def _participants(rng: np.random.Generator) -> set[str]:
    """Ask the actions in random order; one whose antagonist already takes part stays away."""
    codes, chosen = list(_PARTICIPATION), set[str]()
    for number in rng.permutation(len(codes)):
        code = codes[number]
        if rng.uniform() < _PARTICIPATION[code] and not (_RIVALS[code] & chosen):
            chosen.add(code)
    return chosen


def _sides(rng: np.random.Generator, amount: float) -> tuple[float, float]:
    """Left and right amounts of a paired action: nearly equal, or one side alone or much weaker."""
    if rng.uniform() < _ONE_SIDED:
        other = amount * (0.0 if rng.uniform() < 0.7 else rng.uniform(0.0, 0.6))
        return (amount, other) if rng.uniform() < 0.5 else (other, amount)
    left, right = np.clip(amount + rng.normal(0.0, 0.03, 2), 0.02, 1.0)
    return float(left), float(right)


def draw_actions(rng: np.random.Generator) -> Actions:
    """Draw the actions of one moment: several muscles at once, antagonists never together.

    Args:
        rng: The generator that decides everything; the same state gives the same actions.

    Returns:
        Amounts in [0, 1]; codes that do not take part are absent from the mapping (amount 0).
    """
    amounts: dict[str, float] = {}
    chosen = _participants(rng)
    for code in _PARTICIPATION:
        if code not in chosen:
            continue
        if code in PAIRED:
            amounts[code + "L"], amounts[code + "R"] = _sides(rng, _amount(rng))
        else:
            amounts[code] = _amount(rng)
    # A dropped jaw parts the lips: AU26 without AU25 is rare in FACS, and never drawn here.
    if amounts.get("AU26", 0.0) > amounts.get("AU25", 0.0) and "AU24" not in amounts:
        amounts["AU25"] = float(np.clip(amounts["AU26"] * rng.uniform(0.6, 1.0), 0.02, 1.0))
    return Actions({code: amount for code, amount in amounts.items() if amount > 0.0})


def action_unit_value(actions: Actions, code: str) -> float:
    """The amount in [0, 1] that a coder would give to an Action Unit of a dataset.

    Two-sided codes of paired muscles take the stronger side (FACS scores asymmetric actions by the side that
    moves more); ``AU1+2`` of FEAFA is the stronger of its inner and outer part.
    """
    if code.startswith("AU1+2"):
        side = code.removeprefix("AU1+2")
        return max(actions["AU1" + side], actions["AU2" + side])
    if code in PAIRED:
        return max(actions[code + "L"], actions[code + "R"])
    return actions[code]
