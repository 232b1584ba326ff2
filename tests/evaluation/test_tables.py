"""The tables fit a terminal, say what is missing, and hold every number once."""

from __future__ import annotations

import math
import re

import pytest

from aullava.evaluation.tables import markdown_table, text_table

BP4D = [f"AU{number}" for number in (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)]
FEAFA = [
    f"AU{number}{side}"
    for number in ("43", "5", "4", "1+2", "12", "20", "6", "7", "9", "30", "2", "1")
    for side in "LR"
]


def _scores(aus: list[str], metric: str, support: str) -> dict[str, float]:
    scores = {f"{metric}/{code}": 0.1 + 0.01 * at for at, code in enumerate(aus)}
    return (
        scores
        | {f"{support}/{code}": 1000.0 + at for at, code in enumerate(aus)}
        | {f"{metric}_macro": 0.654321}
    )


def test_twelve_action_units_stand_in_one_block_of_a_hundred_columns() -> None:
    scores = _scores(BP4D, "f1", "positives")
    text = text_table({"AU-LLaVA": scores, "linear probe": scores, "always present": scores}, BP4D, "f1")
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) == 6
    assert lines[0].split() == ["F1", "x", "100", *BP4D, "|", "avg"]
    assert lines[2].split() == ["AU-LLaVA", *(f"{10 + at}.0" for at in range(12)), "|", "65.4"]
    assert lines[-1].split() == ["positives", *(f"{1000 + at}" for at in range(12)), "|"]
    assert len({line.index("|") for line in lines if "|" in line}) == 1


@pytest.mark.parametrize("width", [60, 80, 100])
def test_many_action_units_wrap_into_blocks_that_hold_each_once(width: int) -> None:
    text = text_table({"AU-LLaVA (three in one)": _scores(FEAFA, "pcc", "support")}, FEAFA, "pcc", width)
    assert max(map(len, text.splitlines())) <= width
    headers = [line for line in text.splitlines() if line.startswith("PCC")]
    assert re.findall(r"AU\S+", " ".join(headers)) == FEAFA
    assert text.count("0.654") == 1
    counts = [len(line.split()) for line in headers]
    assert max(counts) - min(counts) <= 2  # the last one has "| avg"


def test_what_has_no_support_is_a_dash() -> None:
    scores = _scores(BP4D, "mae", "support") | {"mae/AU4": math.nan}
    assert text_table({"probe": scores}, BP4D, "mae").splitlines()[2].split()[3] == "-"
    assert markdown_table({"probe": scores}, BP4D, "mae").splitlines()[2].split(" | ")[3] == "-"


def test_unreadable_answers_are_named_below() -> None:
    scores = _scores(BP4D, "f1", "positives")
    rows = {"free": scores | {"invalid_rate": 0.125}, "grammar": scores | {"invalid_rate": 0.0}}
    for text in (text_table(rows, BP4D, "f1"), markdown_table(rows, BP4D, "f1")):
        assert text.splitlines()[-1] == "free: 12.5% of the answers could not be read and are left out."


def test_markdown_has_as_many_cells_in_every_row() -> None:
    text = markdown_table({"a|b": _scores(BP4D, "f1", "positives")}, BP4D, "f1")
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines()]
    assert {len(row) for row in cells} == {14}
    assert cells[2][0].strip() == "a\\|b"
    assert cells[2][-1].strip() == "65.4"


def test_a_long_name_is_cut_and_the_table_still_fits() -> None:
    text = text_table({"x" * 200: _scores(BP4D, "f1", "positives")}, BP4D, "f1")
    assert max(map(len, text.splitlines())) <= 100


def test_wrong_input_is_refused() -> None:
    with pytest.raises(KeyError):
        text_table({"probe": _scores(BP4D, "f1", "positives")}, BP4D, "pcc")
    with pytest.raises(ValueError, match="one row"):
        markdown_table({}, BP4D, "f1")
