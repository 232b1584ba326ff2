"""Units as coders write them in one cell."""

from __future__ import annotations

import pytest

from datamodules.action_units import UNKNOWN
from datamodules.facs_notation import presence, read_coding

CODES = ("AU1", "AU4", "AU10", "AU12L", "AU12R", "AD34")


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("1", [1, 0, 0, 0, 0, 0]),
        ("4+L10", [0, 1, 1, 0, 0, 0]),
        ("12", [0, 0, 0, 1, 1, 0]),
        ("L12", [0, 0, 0, 1, 0, 0]),
        ("r12", [0, 0, 0, 0, 1, 0]),
        ("L12B + AU1A+ad34", [1, 0, 0, 1, 0, 1]),
        ("AU 10E", [0, 0, 1, 0, 0, 0]),
        ("64", [0, 0, 0, 0, 0, 0]),
        ("?", [UNKNOWN] * 6),
        ("4+?", [UNKNOWN, 1, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]),
        ("4?", [0, UNKNOWN, 0, 0, 0, 0]),
        ("L12?", [0, 0, 0, UNKNOWN, 0, 0]),
        ("1+4?+4", [1, 1, 0, 0, 0, 0]),
    ],
)
def test_a_cell_says_which_units_are_there(text: str, labels: list[float]) -> None:
    coding = read_coding(text)
    assert coding is not None
    assert presence(coding, CODES) == labels


@pytest.mark.parametrize("text", ["", "/", "null", "1+", "X12", "12F", "1,2", "L", "AU", "1++2", "12LR"])
def test_nothing_is_guessed(text: str) -> None:
    assert read_coding(text) is None
