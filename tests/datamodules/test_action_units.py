"""The FACS vocabulary: complete for every dataset, mirrored rightly, described in plain sentences."""

import re
import subprocess
import sys

import pytest

from datamodules.action_units import (
    BP4D_AUS,
    DISFA_AUS,
    FEAFA_AUS,
    UNKNOWN,
    Scale,
    Side,
    action_unit,
    code_of,
    codes,
)
from datamodules.errors import UnknownActionUnitError
from datamodules.facs_table import FACS_ROWS

NOT_IN_FACS = {3, 47, 48, 49}

# The FACS numbers that the label files of each dataset carry.
NUMBERS = {
    "bp4d": "1 2 4 6 7 10 12 14 15 17 23 24",
    "bp4d_plus": "1 2 4 5 6 7 9 10 11 12 13 14 15 16 17 18 19 20 22 23 24 27 28 29 30 31 32 33 34 35 36 "
    "37 38 39",
    "disfa": "1 2 4 5 6 9 12 15 17 20 25 26",
    "gft": "1 2 4 5 6 7 9 10 11 12 14 15 16 17 18 20 23 24 25 26",
    "unbc": "4 6 7 9 10 12 20 25 26 27 43 50",
    "raf_au": "1 2 4 5 6 9 10 12 16 17 25 26 27",
    "aff_wild2": "1 2 4 6 7 10 12 15 23 24 25 26",
    "faba": "1 2 4 5 6 7 9 10 12 14 15 16 17 20 23 24 25 26 27 43",
    "ck_plus": "1 2 4 5 6 7 9 10 11 12 13 14 15 16 17 18 20 21 23 24 25 26 27 28 29 31 34 38 39 43 45 54 "
    "61 62 63 64",
    "emotionet": " ".join(str(number) for number in range(1, 61) if number not in NOT_IN_FACS),
}

# Numbers that are coded for one side of the face (RAF-AU, CASME II and SAMM write L12, 4+L10, R14B).
ONE_SIDED = (
    *(1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 22, 23, 24, 25, 30, 34, 38, 39, 43),
    *(45, 46),
)


@pytest.mark.parametrize("dataset", NUMBERS)
def test_every_number_of_a_dataset_has_a_code(dataset: str) -> None:
    numbers = [int(word) for word in NUMBERS[dataset].split()]
    found = [code_of(number) for number in numbers]
    assert len(set(found)) == len(numbers)
    assert all(code in (f"AU{number}", f"AD{number}") for code, number in zip(found, numbers, strict=True))


@pytest.mark.parametrize("number", ONE_SIDED)
def test_one_sided_numbers_have_both_sides(number: int) -> None:
    left, right = action_unit(code_of(number, Side.LEFT)), action_unit(code_of(number, Side.RIGHT))
    assert (left.side, right.side) == (Side.LEFT, Side.RIGHT)
    assert left.mirror == right.code
    assert right.mirror == left.code
    assert left.description.replace("left", "right") == right.description
    assert left.muscle == right.muscle == action_unit(code_of(number)).muscle


def test_action_descriptors_are_not_called_action_units() -> None:
    assert [code_of(number) for number in (19, 29, 30, 32, 33, 34, 35, 36, 37, 40, 50)] == [
        *("AD19", "AD29", "AD30", "AD32", "AD33", "AD34", "AD35", "AD36", "AD37", "AD40", "AD50")
    ]
    assert code_of(34, Side.LEFT) == "AD34L"


def test_orders_of_the_three_dataset_lists() -> None:
    assert [code_of(int(word)) for word in NUMBERS["bp4d"].split()] == list(BP4D_AUS)
    assert [code_of(int(word)) for word in NUMBERS["disfa"].split()] == list(DISFA_AUS)
    assert " ".join(FEAFA_AUS) == (
        "AU43L AU43R AU5L AU5R AU4L AU4R AU1+2L AU1+2R AU26 AD30L AD30R AU12L AU12R AU20L AU20R AU28T AU28B "
        "AD29 AU10 AU16 AU17 AU18 AD34 AU9"
    )
    assert all(action_unit(code).code == code for code in (*BP4D_AUS, *DISFA_AUS, *FEAFA_AUS))


def test_feafa_values_that_a_flip_swaps() -> None:
    swapped = {
        (place, FEAFA_AUS.index(action_unit(code).mirror))
        for place, code in enumerate(FEAFA_AUS)
        if place < FEAFA_AUS.index(action_unit(code).mirror)
    }
    assert swapped == {(0, 1), (2, 3), (4, 5), (6, 7), (9, 10), (11, 12), (13, 14)}


@pytest.mark.parametrize("code", codes())
def test_mirror_is_an_involution(code: str) -> None:
    unit = action_unit(code)
    assert action_unit(unit.mirror).mirror == code
    says_side = re.search(r"\b(left|right)\b", unit.description) is not None
    assert (unit.mirror != code) == says_side


def test_head_and_gaze_change_direction_in_the_mirror() -> None:
    assert {code: action_unit(code).mirror for code in ("AU51", "AU55", "AU61", "AU53")} == {
        "AU51": "AU52", "AU55": "AU56", "AU61": "AU62", "AU53": "AU53",
    }  # fmt: skip


@pytest.mark.parametrize("code", codes())
def test_description_is_one_plain_visible_sentence(code: str) -> None:
    unit = action_unit(code)
    assert re.fullmatch(r"[A-Z][a-z ]+\.", unit.description), unit.description
    assert len(unit.description.split()) <= 15
    visible = "brow|lid|eye|cheek|nose|nostril|lip|mouth|chin|jaw|teeth|tongue|neck|head"
    assert re.search(visible, unit.description.lower()), "it must name a part of the face"
    hidden = {"muscle", *re.findall(r"[a-z]{6,}", unit.muscle.lower())} - {"muscles", "tongue", "speech"}
    assert not hidden & set(re.findall(r"[a-z]+", unit.description.lower())), "what is seen, not what pulls"
    assert unit.name == unit.name.lower()
    assert unit.muscle
    assert unit.source


def test_names_and_descriptions_are_unique() -> None:
    units = [action_unit(code) for code in codes()]
    assert len({unit.description for unit in units}) == len(units)
    assert len({unit.name for unit in units}) == len(units)
    assert len({row.stem for row in FACS_ROWS}) == len(FACS_ROWS)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("AU12X", "AU12"),
        ("AU28U", "AU28"),
        ("AU1+2LR", "AU1+2L"),
        ("AU34", "AD34"),
        ("au12l", "AU12L"),
        ("12", "AU12"),
        ("L12", "AU12L"),
        ("AU99", "AU9"),
    ],
)
def test_unknown_code_names_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(UnknownActionUnitError) as caught:
        action_unit(wrong)
    assert f"'{wrong}'" in str(caught.value)
    assert f"did you mean '{nearest}'" in str(caught.value)


@pytest.mark.parametrize("number", sorted(NOT_IN_FACS))
def test_numbers_that_facs_does_not_have(number: int) -> None:
    with pytest.raises(UnknownActionUnitError, match=f"AU{number}"):
        code_of(number)


def test_jaw_drop_has_no_left_side() -> None:
    with pytest.raises(UnknownActionUnitError, match="AU26L"):
        code_of(26, Side.LEFT)


@pytest.mark.parametrize(
    ("scale", "inside", "outside"),
    [
        (Scale.PRESENCE, (0, 1), (0.5, 2, 9)),
        (Scale.LEVEL, (0, 1, 5), (0.5, 6, 9)),
        (Scale.INTENSITY, (0, 0.123, 1), (1.001, -0.001, 5)),
    ],
)
def test_values_of_a_scale(scale: Scale, inside: tuple[float, ...], outside: tuple[float, ...]) -> None:
    assert all(scale.allows(value) for value in inside)
    assert not any(scale.allows(value) for value in (*outside, UNKNOWN, float("nan")))


def test_import_loads_nothing_heavy() -> None:
    heavy = ("torch", "lightning", "transformers", "numpy", "aullava")
    program = (
        "import sys, datamodules.action_units, datamodules.errors\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
