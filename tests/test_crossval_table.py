"""What may stand in one table, and what is said of it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aullava.crossval_files import write_tables
from aullava.crossval_table import OURS, THRESHOLDED, CrossValidation, told
from aullava.evaluation.answer_table import AnswerTable, Terms
from aullava.evaluation.calibration import UnitCalibration, fit_calibration
from aullava.evaluation.errors import ResultError
from aullava.evaluation.published import published
from datamodules.action_units import BP4D_AUS, Scale
from tests.evaluation.answer_tables import presence_table, terms


def _tables(**changed: Any) -> dict[str, dict[int, AnswerTable]]:
    return {"faces": {fold: presence_table(fold=fold, seed=fold, **changed) for fold in (1, 2)}}


def _calibrations() -> dict[str, dict[int, dict[str, UnitCalibration]]]:
    units = fit_calibration(presence_table(seed=9))
    return {"faces": {1: units, 2: units}}


def test_a_table_holds_ours_the_folds_and_the_floor(tmp_path: Path) -> None:
    found = CrossValidation.of(_tables(), _calibrations())
    said = told(found)
    lines = said.splitlines()
    known = (THRESHOLDED, OURS, "always present", "positives")
    names = [next((name for name in known if line.startswith(f"{name} ")), "") for line in lines]
    assert [one for one in names if one] == [OURS, THRESHOLDED, "always present", "positives"]
    assert sum(line.startswith("  fold ") for line in lines) == 2
    assert max(map(len, lines)) <= 100
    assert f"fingerprint {terms().fingerprint()}" in said
    write_tables(found, tmp_path)
    assert (tmp_path / "crossval.txt").read_text() == said.lstrip("\n")
    rows = list(csv.DictReader((tmp_path / "crossval.csv").open()))
    average = next(row for row in rows if (row["row"], row["au"]) == (OURS, "average"))
    assert float(average["low"]) < float(average["value"]) < float(average["high"])
    plain = json.loads((tmp_path / "crossval.json").read_text())["datasets"]["faces"]
    assert plain["rows"][OURS]["mean"]["f1_macro"] == float(average["value"])
    assert f"{100 * float(average['value']):.1f}" in (tmp_path / "crossval.md").read_text()
    tex = (tmp_path / "crossval.tex").read_text()
    assert tex.count(r"\midrule") == 3
    assert r"\quad fold 1 & " in tex


def test_folds_of_other_terms_share_no_table() -> None:
    tables = _tables()
    tables["faces"][2] = replace(tables["faces"][2], terms=terms(data="moved"))
    with pytest.raises(
        ResultError, match=r"fold 1 and fold 2 about faces .*\(data: d / moved\).*--allow-mixed"
    ):
        CrossValidation.of(tables, {})
    said = told(CrossValidation.of(tables, {}, allow_mixed=True))
    assert "MIXED: fold 2 differs from fold 1: data: d / moved" in said


def test_another_cross_validation_is_set_beside_on_the_same_terms_only(tmp_path: Path) -> None:
    same, other = tmp_path / "same", tmp_path / "other"
    write_tables(CrossValidation.of(_tables(), {}), same)
    write_tables(CrossValidation.of(_tables(protocol="halves v1"), {}), other)
    assert "\nsame " in told(CrossValidation.of(_tables(), {}, [same]))
    with pytest.raises(ResultError, match="protocol: thirds v1 / halves v1"):
        CrossValidation.of(_tables(), {}, [same, other])
    said = told(CrossValidation.of(_tables(), {}, [same, other], allow_mixed=True))
    assert "\nother " in said
    assert "MIXED: other differs: protocol: thirds v1 / halves v1" in said
    with pytest.raises(ResultError, match="holds no cross-validation"):
        CrossValidation.of(_tables(), {}, [tmp_path])


def test_published_rows_need_the_same_terms() -> None:
    mixed = {"bp4d": _tables(dataset="bp4d")["faces"]}  # three units, thirds
    said = told(CrossValidation.of(mixed, {}))
    assert "EAC-Net" not in said
    assert "published rows are left out: Action Units: AU1,AU2,AU12" in said.replace("\n", " ")
    shown = told(CrossValidation.of(mixed, {}, allow_mixed=True))
    assert "EAC-Net (a)*" in shown
    assert "MIXED: the published rows differ" in shown


def test_published_rows_need_the_same_threshold() -> None:
    found = published(terms(dataset="disfa.presence"))
    assert found is not None
    same = terms(dataset="disfa.presence", aus=found.aus, protocol=f"{found.protocols[0]} v1")
    for cuts in (None, (2.0,) * 8):
        assert found.differences(replace(same, derived_from=cuts), 3) == []
    other = replace(same, derived_from=(1.0,) * 8)
    assert found.differences(other, 3) == ["threshold: present from a level of 1 / 2"]
    assert other.fingerprint() != same.fingerprint()
    assert other.differences(same) == ["derived_from: 1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0 / None"]
    assert Terms.of(other.plain()) == other


def test_published_rows_stand_beside_with_sources_and_caveats(tmp_path: Path) -> None:
    found = published(terms(dataset="bp4d"))
    assert found is not None
    tables = {}
    for fold in (1, 2, 3):
        plain = presence_table(
            fold=fold, seed=fold, dataset="bp4d", protocol="canonical_folds v1", aus=BP4D_AUS
        )
        wide = {
            name: getattr(plain, name).repeat(4, axis=1) for name in ("labels", "answers", "probabilities")
        }
        tables[fold] = replace(plain, **wide)
    cross = CrossValidation.of({"bp4d": tables}, {})
    said = told(cross)
    assert len([row for row in found.rows if f"\n{row.name} (" in said]) == len(found.rows)
    assert "* EAC-Net: the printed average is not that of its columns, 55.6" in said
    assert "(a) github.com/CVI-SZU/ME-GraphAU, README" in said
    assert "146,847 in the published protocol" in said
    write_tables(cross, tmp_path)
    tex = (tmp_path / "crossval.tex").read_text()
    printed = " ".join(line for line in tex.splitlines() if not line.startswith("%"))
    for words in (*found.sources.values(), *found.caveats, *(row.caveat for row in found.rows)):
        assert words.replace("_", r"\_").replace("%", r"\%").replace("&", r"\&") in printed
    assert tex.count(r"\begin{table}") == tex.count(r"\end{table}") == 1
    rows = list(csv.DictReader((tmp_path / "crossval.csv").open()))
    quoted = {row["row"]: row for row in rows if row["sources"] and row["au"] == "average"}
    assert len(quoted) == len(found.rows)
    assert quoted["EAC-Net (a)*"]["sources"] == found.sources["a"]
    assert quoted["EAC-Net (a)*"]["notes"].startswith(
        "the printed average is not that of its columns, 55.6; "
    )
    for caveat in found.caveats:
        assert all(caveat in row["notes"] for row in quoted.values())
    assert {row["notes"] for row in rows if row["row"] == OURS} == {""}


def test_intensities_have_no_f1() -> None:
    tables = {
        "faces": {1: presence_table(scale=Scale.INTENSITY), 2: presence_table(fold=2, scale=Scale.INTENSITY)}
    }
    said = told(CrossValidation.of(tables, {}))
    assert "F1" not in said
    assert "always 0" in said
