"""What copies of BP4D+ differ in, and where it differs from BP4D."""

from __future__ import annotations

import shutil
from collections import Counter
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from datamodules.action_units import BP4D_AUS, UNKNOWN, Scale
from datamodules.bp4d_plus import ALL_CODED, BP4DPlus
from datamodules.dataset_options.core import BP4DPlusOptions
from datamodules.errors import BrokenImageError, DatasetError
from datamodules.options import DatasetSettings
from tests.data.bp4d_plus.data import AS_VIDEOS, FRAMES, UNPACKED, write_archive, write_intensity
from tests.data.drawn import plain, save_text
from tests.datamodules.conftest import Small
from tests.datamodules.helpers import LOADING, dataset


def _labels(root: Path, frames: int, sequence: str = "F001_T1", last: str = "") -> None:
    """An occurrence file in which AU n is present if n is odd; ``last`` is a row that follows."""
    numbers = [int(code[2:]) for code in ALL_CODED]
    rows = [",".join([str(one), *(str(au % 2) for au in numbers)]) for one in range(1, frames + 1)]
    text = "\n".join([",".join(["1", *map(str, numbers)]), *rows])
    save_text(root / f"AUCoding/AU_OCC/{sequence}.csv", text + last + "\n")


def _plus(root: Path, strict: bool = False, **options: object) -> BP4DPlus:
    chosen = BP4DPlusOptions(**options)  # type: ignore[arg-type]
    return BP4DPlus(DatasetSettings(root=root, options=chosen, strict=strict), LOADING)


def _greys(module: BP4DPlus) -> dict[str, int]:
    ids = module.index.sample_ids
    return {str(one): round(float(module.sample(row).image.mean()) / 10) for row, one in enumerate(ids)}


def test_pictures_are_read_inside_their_archives(tmp_path: Path) -> None:
    _labels(tmp_path, 3)
    _labels(tmp_path, 2, "F001_T10")
    members = {f"F001/T1/00{one}.jpg": plain(10 * one) for one in (1, 2, 3)}
    members |= {f"F001/T10/000{one}.jpg": plain(100 + 10 * one) for one in (1, 2)}
    write_archive(tmp_path / "2D+3D/F001.zip", members)
    module = _plus(tmp_path)
    expected = {f"F001/T1/000{one}": one for one in (1, 2, 3)} | {"F001/T10/0001": 11, "F001/T10/0002": 12}
    assert _greys(module) == expected
    module.raw._archives = copy(module.raw._archives)  # as a loader process gets it: not the open file
    assert module.raw._archives._open is None
    assert _greys(module) == expected


def test_the_three_forms_of_pictures_are_read(settings_of: Small) -> None:
    module = dataset("bp4d_plus", settings_of("bp4d_plus"))
    kinds = Counter(
        "zip" if ".zip!/" in place else place.rpartition(".")[2][:3] for place in module.index.places
    )
    assert kinds == {"zip": 7 * 6, "jpg": 6, "mp4": 6}
    rows = {str(one): row for row, one in enumerate(module.index.sample_ids)}
    for person in (UNPACKED, AS_VIDEOS):
        shown = [module.sample(rows[f"{person}/T1/{one:04d}"]).image for one in FRAMES]
        assert all(image.shape == (240, 320, 3) for image in shown)


def test_frame_k_of_the_labels_is_frame_k_minus_1_of_a_video(settings_of: Small) -> None:
    places = [str(one) for one in dataset("bp4d_plus", settings_of("bp4d_plus")).index.places]
    assert [one for one in places if f"{AS_VIDEOS}_T1.mp4" in one] == [
        f"2D+3D/{AS_VIDEOS}_T1.mp4#{frame - 1}" for frame in FRAMES
    ]


def test_a_sequence_with_more_labels_than_pictures_loses_the_rest(settings_of: Small) -> None:
    """F041/T7."""
    module = dataset("bp4d_plus", settings_of("bp4d_plus"))
    assert module.findings.counts() == {"known-gap": 1}
    assert len(dataset("bp4d_plus", settings_of("bp4d_plus"), strict=True).index) == len(module.index)
    assert "F041_T7.csv:5: 1 of 4 coded frames of F041/T7" in next(iter(module.findings)).message


def test_only_coded_tasks_have_rows(settings_of: Small) -> None:
    """The archives hold pictures of T2, and Physiology has a task T11 of somebody without it."""
    names = {str(one) for one in dataset("bp4d_plus", settings_of("bp4d_plus")).index.attributes["sequence"]}
    assert {name.partition("/")[2] for name in names} == {"T1", "T7"}


@pytest.mark.parametrize(("labels", "aus"), [("occurrence", BP4D_AUS), ("all_occurrence", ALL_CODED)])
def test_columns_are_found_by_name_and_not_at_their_number(
    tmp_path: Path, labels: str, aus: tuple[str, ...]
) -> None:
    """The 12 stand at the places 1 2 3 5 6 8 10 12 13 15 20 21; the column 24 is AU31."""
    nines = ",".join(["3", *("9" if code == "AU24" else "0" for code in ALL_CODED)])
    _labels(tmp_path, 2, last="\n" + nines)
    module = _plus(tmp_path, labels=labels, pictures="none")
    assert module.asked_aus == aus
    assert module.index.labels[:2].tolist() == [[int(code[2:]) % 2 for code in aus]] * 2
    assert module.index.labels[2].tolist() == [UNKNOWN if code == "AU24" else 0 for code in aus]


def test_intensities_are_levels_of_five(tmp_path: Path) -> None:
    _labels(tmp_path, 2)
    write_intensity(tmp_path / "AUCoding/AU_INT", "F001", 1, (1, 2))
    module = _plus(tmp_path, labels="intensity", pictures="none")
    assert module.coded_scale() is Scale.LEVEL
    assert module.index.labels.shape == (2, 5)
    assert module.expected() is None


def test_people_of_bp4d_plus_are_not_those_of_bp4d(settings_of: Small) -> None:
    module, other = (dataset(name, settings_of(name)) for name in ("bp4d_plus", "bp4d"))
    assert "F001" in module.index.people()
    assert "F001" in other.index.people()
    assert module.identity("F001") != other.identity("F001")
    row = module.index.rows_of(["F001"])[0]
    assert module.sample(int(row)).subject == "bp4d_plus:F001"


def test_an_archive_that_is_none_is_named(tmp_path: Path) -> None:
    _labels(tmp_path, 1)
    save_text(tmp_path / "2D+3D/F001.zip", "<html>Log in</html>")
    with pytest.raises(DatasetError, match=r"archive .*F001\.zip cannot be read \(File is not a zip file\)"):
        _ = _plus(tmp_path).index


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    _labels(tmp_path, 1)
    path = tmp_path / "2D+3D/F001.zip"
    write_archive(path, {"F001/T1/001.jpg": plain(10)})
    content = bytearray(path.read_bytes())
    content[120:140] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(BrokenImageError, match=r"F001\.zip/F001/T1/001\.jpg cannot be read"):
        _plus(tmp_path).sample(0)


def test_two_pictures_of_one_number_in_an_archive_are_refused(tmp_path: Path) -> None:
    _labels(tmp_path, 1)
    write_archive(tmp_path / "2D+3D/F001.zip", {f"F001/T1/{name}.jpg": plain(1) for name in ("001", "0001")})
    with pytest.raises(DatasetError, match=r"F001\.zip holds number 1 of T1 twice"):
        _ = _plus(tmp_path).index


def test_pictures_that_begin_at_0_are_spoken_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    members: dict[str, Any] = {}
    for task in ("T1", "T6"):
        _labels(tmp_path, 1, f"F001_{task}")
        members |= {f"F001/{task}/00{one}.jpg": plain(10) for one in (0, 1)}
    write_archive(tmp_path / "2D+3D/F001.zip", members)
    _ = _plus(tmp_path, frame_offset=-1).build_index()
    assert not caplog.records
    _ = _plus(tmp_path).build_index()
    assert len(caplog.records) == 1
    assert "2 sequences (the first is F001/T1)" in caplog.text


def test_a_root_without_pictures_says_so(tmp_path: Path) -> None:
    _labels(tmp_path, 1)
    with pytest.raises(DatasetError, match=r"finds no folder 2D\+3D below .* options\.pictures=none"):
        _ = _plus(tmp_path).index
    assert len(_plus(tmp_path, pictures="none").index) == 1


def test_an_archive_that_was_removed_takes_its_rows_along(tmp_path: Path, settings_of: Small) -> None:
    shutil.copytree(settings_of("bp4d_plus").root or "", tmp_path / "copy")
    (tmp_path / "copy/2D+3D/F001.zip").unlink()
    module = _plus(tmp_path / "copy")
    assert "F001" not in module.index.people()
    assert module.findings.counts() == {"missing-image": 6, "known-gap": 1}


def test_no_pictures_at_all_are_no_known_gap(tmp_path: Path, settings_of: Small) -> None:
    shutil.copytree(settings_of("bp4d_plus").root or "", tmp_path / "copy")
    (tmp_path / "copy/2D+3D/F041.zip").unlink()
    assert _plus(tmp_path / "copy").build_index() is not None
    module = _plus(tmp_path / "copy")
    assert "F041" not in module.index.people()
    assert module.findings.counts() == {"missing-image": 7}


def test_an_archive_of_somebody_else_is_refused(tmp_path: Path) -> None:
    _labels(tmp_path, 1)
    write_archive(tmp_path / "2D+3D/F001.zip", {"F029/T1/001.jpg": plain(10)})
    with pytest.raises(DatasetError, match=r"F001\.zip holds pictures of F029 \(F029/T1/001\.jpg\)"):
        _ = _plus(tmp_path).index
    write_archive(tmp_path / "2D+3D/F001.zip", {"Disk1/f1/T1/001.jpg": plain(10)})
    assert _greys(_plus(tmp_path)) == {"F001/T1/0001": 1}


@pytest.mark.parametrize("wrong", [{"labels": "both"}, {"pictures": "avi"}, {"frame_offset": 3}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is not one of"):
        BP4DPlusOptions(**wrong)  # type: ignore[arg-type]
