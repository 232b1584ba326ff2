"""Parts of a dataset are found wherever a laboratory has put them, and never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from datamodules.errors import DatasetError
from datamodules.layout import below, by_code, code, folders


def _make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)


@pytest.mark.parametrize("place", ["AUCoding", "BP4D/AUCoding", "gaic/BP4D/aucoding"])
def test_a_folder_is_found_up_to_two_levels_down(tmp_path: Path, place: str) -> None:
    _make(tmp_path, place, "other/deep", ".hidden/AUCoding")
    assert below(tmp_path, "AUCoding") == tmp_path / place
    assert below(tmp_path, "AU_INT") is None


def test_the_nearest_one_counts_and_two_of_one_level_are_refused(tmp_path: Path) -> None:
    _make(tmp_path, "a/Labels/Labels", "a/b/Labels")
    assert below(tmp_path, "Labels") == tmp_path / "a/Labels"
    _make(tmp_path, "c/Labels")
    with pytest.raises(DatasetError, match=r"both .*a/Labels and .*c/Labels could be meant"):
        below(tmp_path, "Labels")


def test_a_file_of_the_name_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "Labels").write_text("x")
    _make(tmp_path, "a/Labels")
    assert below(tmp_path, "Labels") == tmp_path / "a/Labels"


def test_signs_in_names_stand_for_themselves(tmp_path: Path) -> None:
    _make(tmp_path, "copy [1]/Sequences(2D+3D)")
    assert below(tmp_path, "Sequences(2D+3D)") == tmp_path / "copy [1]/Sequences(2D+3D)"
    assert below(tmp_path, "copy [1]") == tmp_path / "copy [1]"


def test_levels_come_one_after_another(tmp_path: Path) -> None:
    _make(tmp_path, "b/c/d", "a")
    assert [str(one.relative_to(tmp_path)) for one in folders(tmp_path)] == [".", "a", "b", "b/c"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("F001", "F1"), ("f1", "F1"), ("SN010", "SN10"), ("T10", "T10"), ("F001_T1", None), ("T", None)],
)
def test_codes_have_one_spelling(name: str, said: str | None) -> None:
    assert code(name) == said


def test_two_folders_of_one_code_are_refused(tmp_path: Path) -> None:
    _make(tmp_path, "F001", "F2", "readme")
    (tmp_path / "F3").write_text("a file")
    assert by_code(tmp_path) == {"F1": tmp_path / "F001", "F2": tmp_path / "F2"}
    _make(tmp_path, "F01")
    with pytest.raises(DatasetError, match="has both 'F001' and 'F01': take one of the two out"):
        by_code(tmp_path)
