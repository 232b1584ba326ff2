"""Answers: written as the grammar says, and read back exactly."""

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest

from aullava.text.errors import TextError
from aullava.text.grammar import (
    AnswerForm,
    Fixed,
    Slot,
    allowed,
    answer_pieces,
    answer_template,
    answer_text,
    slots,
)
from aullava.text.parse import parse_answer
from datamodules.action_units import UNKNOWN, Scale, codes

FORMATS = [(scale, form) for scale in Scale for form in AnswerForm]


@pytest.mark.parametrize(
    ("scale", "form", "values", "text"),
    [
        (Scale.PRESENCE, AnswerForm.NAMED, [0, 1], "AU1: 0, AU12L: 1"),
        (Scale.PRESENCE, AnswerForm.LIST, [0, 1], "[0, 1]"),
        (Scale.LEVEL, AnswerForm.NAMED, [5, 0], "AU1: 5, AU12L: 0"),
        (Scale.LEVEL, AnswerForm.LIST, [3, 2], "[3, 2]"),
        (Scale.INTENSITY, AnswerForm.NAMED, [1, 0.35], "AU1: 1.00, AU12L: 0.35"),
        (Scale.INTENSITY, AnswerForm.LIST, [0, 0.07], "[0.00, 0.07]"),
    ],
)
def test_answer_text(scale: Scale, form: AnswerForm, values: list[float], text: str) -> None:
    assert answer_text(("AU1", "AU12L"), scale, values, form) == text
    assert parse_answer(text, ("AU1", "AU12L"), scale, form) == pytest.approx(values, abs=0, rel=1e-7)


def random_values(scale: Scale, count: int, rng: np.random.Generator) -> np.ndarray:
    """float32 labels of a scale; intensities with up to three decimals, as label files have them."""
    if scale is Scale.INTENSITY:
        return (rng.integers(0, 1001, count) / 1000).astype(np.float32)
    return rng.integers(0, 2 if scale is Scale.PRESENCE else 6, count).astype(np.float32)


def rounded(value: np.float32) -> np.float32:
    """A label of at most three decimals, rounded half up, by way of whole thousandths."""
    return np.float32(Decimal(round(float(value) * 1000)).scaleb(-3).quantize(Decimal("0.01"), ROUND_HALF_UP))


@pytest.mark.parametrize(("scale", "form"), FORMATS)
def test_round_trip_is_exact_for_random_sets_of_action_units(scale: Scale, form: AnswerForm) -> None:
    rng = np.random.default_rng(7)
    for _ in range(100):
        aus = tuple(rng.permutation(codes())[: rng.integers(1, 30)].tolist())
        values = random_values(scale, len(aus), rng)
        read = parse_answer(answer_text(aus, scale, values, form), aus, scale, form)
        assert read.dtype == np.float32
        most = np.float32(0.99 if (form, scale) == (AnswerForm.COMPACT, Scale.INTENSITY) else 5)
        assert read.tolist() == [min(rounded(value), most) for value in values]


@pytest.mark.parametrize("form", [AnswerForm.NAMED, AnswerForm.LIST])
def test_every_intensity_reads_back_as_its_own_float32(form: AnswerForm) -> None:
    for amount in range(101):
        values = np.array([amount / 100, 1 - amount / 100], dtype=np.float32)
        text = answer_text(("AD30L", "AD30R"), Scale.INTENSITY, values, form)
        assert f"{amount // 100}.{amount % 100:02d}" in text
        assert parse_answer(text, ("AD30L", "AD30R"), Scale.INTENSITY, form).tolist() == values.tolist()


def test_compact_answers_hold_hundredths_up_to_99() -> None:
    aus = ("AU1", "AU2")
    for amount in range(101):
        text = answer_text(aus, Scale.INTENSITY, [amount / 100, 0], AnswerForm.COMPACT)
        assert text == f"[{min(amount, 99):02d},00]"
        read = parse_answer(text, aus, Scale.INTENSITY, AnswerForm.COMPACT)
        assert read.tolist() == [np.float32(min(amount, 99) / 100), 0]
    assert answer_text(aus, Scale.LEVEL, [5, 0], AnswerForm.COMPACT) == "[5,0]"


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.345, "0.35"), (0.005, "0.01"), (0.004999, "0.00"), (0.995, "1.00"), (0.994, "0.99"), (1e-9, "0.00")],
)
@pytest.mark.parametrize("kind", [float, np.float32])
def test_intensities_round_half_up_as_they_are_written(value: float, written: str, kind: type) -> None:
    assert answer_text(("AU1",), Scale.INTENSITY, [kind(value)], AnswerForm.LIST) == f"[{written}]"
    labels = np.array([value], dtype=np.float32)
    assert answer_text(("AU1",), Scale.INTENSITY, labels.tolist(), AnswerForm.LIST) == f"[{written}]"


@pytest.mark.parametrize(
    ("scale", "value"),
    [
        (Scale.PRESENCE, 0.5), (Scale.PRESENCE, 2), (Scale.LEVEL, 6), (Scale.LEVEL, 2.5),
        (Scale.INTENSITY, 1.01),
        *((scale, bad) for scale in Scale for bad in (UNKNOWN, float("nan"), float("inf"))),
    ],
)  # fmt: skip
def test_value_off_its_scale_is_refused_by_name(scale: Scale, value: float) -> None:
    with pytest.raises(TextError, match=f"AU12 has the value {value:g}, .*'{scale}'.*{scale.in_words}"):
        answer_text(("AU1", "AU12"), scale, [0, value], AnswerForm.NAMED)


def test_numbers_of_codes_and_values_must_agree() -> None:
    with pytest.raises(TextError, match="2 Action Units but 1 values"):
        answer_text(("AU1", "AU12"), Scale.PRESENCE, [0], AnswerForm.NAMED)


def test_nothing_and_the_same_twice_cannot_be_asked() -> None:
    with pytest.raises(TextError, match="no Action Unit is asked"):
        answer_template((), Scale.PRESENCE, AnswerForm.LIST)
    with pytest.raises(TextError, match="AU2 is asked more than once"):
        answer_template(("AU2", "AU1", "AU2"), Scale.PRESENCE, AnswerForm.LIST)


def test_template_and_pieces_are_aligned() -> None:
    aus, values = ("AU1", "AU2"), [1.0, 0.47]
    template = answer_template(aus, Scale.INTENSITY, AnswerForm.NAMED)
    digits = tuple("0123456789")
    assert template[:5] == (
        Fixed("AU1: "),
        Slot("AU1", "units", ("0", "1")),
        Fixed("."),
        Slot("AU1", "tenths", digits),
        Slot("AU1", "hundredths", digits),
    )
    pieces = answer_pieces(aus, Scale.INTENSITY, values, AnswerForm.NAMED)
    assert pieces == ("AU1: ", "1", ".", "0", "0", ", AU2: ", "0", ".", "4", "7")
    assert len(pieces) == len(template)
    assert len(slots(template)) == 6


def test_after_one_only_zeros_are_allowed() -> None:
    _, units, _, tenths, hundredths = answer_template(("AU1",), Scale.INTENSITY, AnswerForm.NAMED)
    assert isinstance(units, Slot)
    assert isinstance(tenths, Slot)
    assert isinstance(hundredths, Slot)
    assert allowed(units, None) == ("0", "1")
    assert allowed(tenths, "0") == allowed(hundredths, "0") == tuple("0123456789")
    assert allowed(tenths, "1") == allowed(hundredths, "1") == ("0",)
