from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from aullava.evaluation import draw
from aullava.evaluation.draw import answer_card, answers_card
from aullava.text.answer import Answer
from datamodules.action_units import BP4D_AUS, DISFA_AUS, FEAFA_AUS, UNKNOWN, Scale

Picture = npt.NDArray[np.uint8]
FACE: Picture = np.full((96, 96, 3), 90, np.uint8)


def _answer(aus: Sequence[str], scale: Scale, values: Sequence[float], valid: bool = True) -> Answer:
    return Answer(
        "x", tuple(aus), scale, "", np.array(values, np.float32), valid, np.ones(len(aus), np.float32)
    )


def _pixels(card: Picture, colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (card == np.array(colour)).all(-1)
    return found


def _bars(card: Picture) -> list[int]:
    """Lengths of the blue bars in pixels, from top to bottom; separators between levels count."""
    rows = [np.flatnonzero(row) for row in _pixels(card, draw._ANSWER)]
    lengths = [int(row[-1] - row[0] + 1) if len(row) else 0 for row in rows]
    return [length for above, length in zip([0, *lengths], lengths, strict=False) if length and not above]


@pytest.mark.parametrize(
    ("scale", "values", "shares"),
    [
        (Scale.PRESENCE, [0, 1, 1], [1, 1]),
        (Scale.LEVEL, [1, 0, 5], [0.2, 1]),
        (Scale.INTENSITY, [0.25, 0.5, 1.0], [0.25, 0.5, 1]),
    ],
)
def test_bars_are_as_long_as_their_values(scale: Scale, values: list[float], shares: list[float]) -> None:
    card = answer_card(FACE, _answer(["AU1", "AU2", "AU12"], scale, values))
    assert [length / draw._BAR for length in _bars(card)] == pytest.approx(shares, abs=0.02)


def test_the_truth_is_marked_where_it_is_known() -> None:
    answer = _answer(["AU1", "AU2", "AU12"], Scale.INTENSITY, [0, 0, 0])
    marks = _pixels(answer_card(FACE, answer, {"AU1": 0.5, "AU2": UNKNOWN, "AU12": 1.0}), draw._TRUTH)
    below = marks[draw._GAP + draw._HEAD - 2 :]  # the legend stands above
    columns = sorted(set(np.flatnonzero(below.any(0)).tolist()))
    assert len(columns) == 2 * 3
    assert columns[3] - columns[0] == draw._BAR // 2
    assert not _pixels(answer_card(FACE, answer), draw._TRUTH).any()


def test_an_answer_that_could_not_be_read_has_no_bars() -> None:
    answer = _answer(BP4D_AUS, Scale.PRESENCE, [UNKNOWN] * 12, valid=False)
    assert _bars(answer_card(FACE, answer, dict.fromkeys(BP4D_AUS, 1.0))) == []


def test_cards_stack_whatever_was_asked() -> None:
    """Action Units that were not coded are not asked, so that one dataset's cards have different heights."""
    few = answer_card(FACE, _answer(FEAFA_AUS[:3], Scale.INTENSITY, [0.5] * 3))
    many = answer_card(FACE, _answer(FEAFA_AUS, Scale.INTENSITY, [0.5] * 24))
    assert few.shape[1] == many.shape[1]
    assert few.shape[0] < many.shape[0]
    assert np.vstack([few, many]).dtype == np.uint8


def test_every_row_is_inside_the_picture() -> None:
    card = answer_card(FACE, _answer(FEAFA_AUS, Scale.INTENSITY, [1.0] * 24))
    assert len(_bars(card)) == 24
    for edge in (card[:3], card[-3:], card[:, :3], card[:, -3:]):
        assert (edge == 255).all()


def test_formats_stand_side_by_side() -> None:
    answers = [
        _answer(BP4D_AUS, Scale.PRESENCE, [1] * 12),
        _answer(DISFA_AUS, Scale.LEVEL, [3] * 12),
        _answer(FEAFA_AUS, Scale.INTENSITY, [0.5] * 24),
    ]
    card = answers_card(FACE, answers)
    single = answers_card(FACE, answers[:1])
    assert card.shape[1] - single.shape[1] == 2 * (draw._COLUMN + draw._GAP)
    first = _pixels(card, draw._ANSWER)[draw._GAP + draw._HEAD + 6]
    starts = np.flatnonzero(np.diff(np.concatenate([[0], first.astype(int)])) == 1)
    assert starts[0] + draw._COLUMN + draw._GAP in starts
    assert starts[0] + 2 * (draw._COLUMN + draw._GAP) in starts


@pytest.mark.parametrize("shape", [(96, 96), (480, 640), (900, 300), (20, 31)])
def test_a_face_of_any_shape_keeps_it(shape: tuple[int, int]) -> None:
    face = np.zeros((*shape, 3), np.uint8)
    card = answer_card(face, _answer(["AU1"], Scale.PRESENCE, [0]))
    dark = _pixels(card[:, : draw._FACE + draw._GAP], (0, 0, 0))
    height, width = int(dark.any(1).sum()), int(dark.any(0).sum())
    assert max(height, width) == draw._FACE
    assert height / width == pytest.approx(shape[0] / shape[1], rel=0.02)


def test_a_long_name_is_cut() -> None:
    card = answer_card(FACE, _answer(["AU11R"], Scale.PRESENCE, [1]))
    plain = answer_card(FACE, _answer(["AU1"], Scale.PRESENCE, [1]))
    left = draw._FACE + 2 * draw._GAP + draw._CODE
    name = slice(left + draw._NAME, left + draw._NAME + draw._BAR)
    assert np.array_equal(card[:, name], plain[:, name])
