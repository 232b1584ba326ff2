"""The field's own fold lists, as protocols: who is tested in which fold. No torch here.

**Numbering.** The folds of BP4D and DISFA are those of JAA-Net, ME-GraphAU, MDHR, FG-Net and most others. The
parts are numbered as they are there, the folds as in ME-GraphAU and MDHR: **fold 1 tests part 3, fold 2
tests part 2, fold 3 tests part 1**. JAA-Net's "combine 1 2" is fold 1; FG-Net's folds 0, 1, 2 are 3, 2, 1
here. A mean over the folds does not depend on it; which checkpoint may see whom does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from datamodules.errors import DatasetError
from datamodules.protocols import Protocol, leave_one_subject_out, people_folds, user_folds

BP4D_PARTS: Final = (
    "F001 F002 F008 F009 F010 F016 F018 F023 M001 M004 M007 M008 M012 M014",
    "F003 F005 F011 F013 F020 F022 M002 M005 M010 M011 M013 M016 M017 M018",
    "F004 F006 F007 F012 F014 F015 F017 F019 F021 M003 M006 M009 M015",
)

DISFA_PARTS: Final = (
    "SN001 SN002 SN009 SN010 SN016 SN026 SN027 SN030 SN032",
    "SN006 SN011 SN012 SN013 SN018 SN021 SN024 SN028 SN031",
    "SN003 SN004 SN005 SN007 SN008 SN017 SN023 SN025 SN029",
)

_BP4D_PLUS_FOLDS: Final = (
    "M040 F072 M015 M029 M003 F076 F053 F026 F044 F066 F057 F061 F071 M050 M033 F079 F020 M025 "
    "F014 F004 F013 M017 F033 M042 M004 F038 F019 M036 M026 M048 F039 F046 M051 F047 M020",
    "F074 F012 F034 M001 F056 F075 M009 M038 F024 M047 F016 M045 M034 M022 F060 M011 M044 M046 "
    "M005 M028 F077 F028 M055 M019 F032 F030 M037 M043 F031 F022 M023 M018 M016 F065 M052",
    "F029 F054 F064 F045 F009 F040 F008 M041 F063 M056 M024 F001 F080 M010 F062 F035 M054 F052 "
    "F027 F043 F042 F050 M057 F078 F058 F017 M035 M030 M027 F021 M031 F069 F002 M008 F068",
    "M058 F037 F010 F023 M007 M002 F025 F073 F048 F041 F051 F011 M032 F005 M021 F018 M013 M049 "
    "M014 F070 F006 F067 M039 M006 F059 F003 F007 F049 M053 F081 F055 M012 F082 F015 F036",
)
_EVEN: Final = tuple(f"{sex}{n:03d}" for sex, last in (("F", 23), ("M", 18)) for n in range(2, last + 1, 2))


def _protocol(name: str, folds: Collection[str]) -> Protocol:
    return Protocol(name, 1, tuple(tuple(fold.split()) for fold in folds))


BP4D_FOLDS: Final = _protocol("canonical_folds", BP4D_PARTS[::-1])
"""The three folds of BP4D, numbered as in ME-GraphAU (see above)."""

DISFA_FOLDS: Final = _protocol("canonical_folds", DISFA_PARTS[::-1])
"""The three folds of DISFA, numbered as in ME-GraphAU (see above)."""

BP4D_FERA2015: Final = Protocol("fera2015", 1, (_EVEN,))
"""FERA 2015 and papers on intensity: odd ids train, even ids (its development part) are tested."""

BP4D_PLUS_FOLDS: Final = _protocol("fmae_folds", _BP4D_PLUS_FOLDS)
"""The four folds of FMAE-IAT's README, drawn at random by its authors; BP4D+ has no canonical split."""

FEAFA_FIRST_20: Final = Protocol("first20", 1, (tuple(f"PV{number:03d}" for number in range(1, 21)),))
"""CPEM: the first 20 videos are tested, the others train. CPEM also picked its test images by hand (an AU
above 0.8), which this does not: its numbers compare with care."""


def find_protocol(
    name: str,
    subjects: Collection[str],
    known: Mapping[str, Protocol],
    folds_file: str = "",
    folds: int = 3,
) -> Protocol:
    """The protocol of a name: one of a dataset's own, or one that every dataset has.

    Args:
        name: as in the settings.
        subjects: everybody in the dataset.
        known: the dataset's own fold lists by name.
        folds_file: the user's list for ``own_folds``.
        folds: how many, for protocols that deal people out (``people_folds``, ``sequence_folds``).

    Raises:
        DatasetError: ``own_folds`` without a file, or a file that cannot be meant.
    """
    if name in known:
        return known[name]
    if name == "leave_one_subject_out":
        return leave_one_subject_out(subjects)
    if name != "own_folds":
        return people_folds(name, 1, subjects, folds)
    if not folds_file:
        raise DatasetError(
            "protocol 'own_folds' needs your list: set options.folds_file to a file with the tested people "
            "of one fold in each line"
        )
    return user_folds(folds_file, subjects)
