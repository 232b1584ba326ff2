"""What is peculiar about DISFA+: comment in the label files, trials, people who are also in DISFA."""

from __future__ import annotations

from pathlib import Path

import pytest

from datamodules.action_units import DISFA_AUS, Scale
from datamodules.dataset_options.core import DISFAPlusOptions
from datamodules.disfa_coding import DETECTION_AUS
from datamodules.disfa_plus import DISFAPlus
from datamodules.errors import DatasetError, LabelOutOfRangeError
from datamodules.options import DatasetSettings
from tests.data.disfa_plus.data import PEOPLE, TRIALS
from tests.data.drawn import plain, save, save_text
from tests.datamodules.conftest import Small
from tests.datamodules.helpers import LOADING, dataset

TRIAL = "SN001/A9_AU4_5x_TrailNo_1"


def _write(root: Path, **texts: str) -> None:
    """One trial of three pictures, levels 0 to 3 by AU; ``texts`` replace some label files (``AU12=...``)."""
    for column, code in enumerate(DISFA_AUS):
        rows = "".join(f"{one:03d}.jpg     {(one + column) % 4}\n" for one in range(3))
        save_text(root / f"Labels/{TRIAL}/{code}.txt", texts.get(code, f"# {code}\n# name  level\n{rows}"))
    for one in range(3):
        save(root / f"Images/{TRIAL}/{one:03d}.jpg", plain(60 * (one + 1)))


def _plus(root: Path, strict: bool = False, **options: object) -> DISFAPlus:
    chosen = DISFAPlusOptions(**options)  # type: ignore[arg-type]
    return DISFAPlus(DatasetSettings(root=root, options=chosen, strict=strict), LOADING)


def test_the_lines_that_begin_with_a_picture_are_the_labels(tmp_path: Path) -> None:
    _write(tmp_path, AU4="12 frames\nAU4 : 0-5\n\n000.jpg\t0\n001.JPG          5\n002.jpg  3   \n")
    module = _plus(tmp_path)
    assert [str(one) for one in module.index.sample_ids] == [f"{TRIAL}/000{one}" for one in range(3)]
    expected = [[(one + column) % 4 for column in range(12)] for one in range(3)]
    for row, level in zip(expected, (0, 5, 3), strict=True):
        row[2] = level
    assert module.index.labels.tolist() == expected
    greys = [round(float(module.sample(row).image.mean()) / 60) for row in range(3)]
    assert greys == [1, 2, 3]


def test_the_fake_is_read_below_its_folder(settings_of: Small) -> None:
    module = dataset("disfa_plus", settings_of("disfa_plus"))
    assert module.index.people() == sorted(PEOPLE)
    sequences = {str(one) for one in module.index.attributes["sequence"]}
    assert sequences == {f"{person}/{trial}" for person in PEOPLE for trial in TRIALS}
    assert len(module.findings) == 0


def test_its_people_are_those_of_disfa(settings_of: Small) -> None:
    module, other = (dataset(name, settings_of(name)) for name in ("disfa_plus", "disfa"))
    assert module.identity("SN001") == other.identity("SN001") == "disfa:SN001"


def test_one_person_is_tested_in_each_fold(settings_of: Small) -> None:
    module = dataset("disfa_plus", settings_of("disfa_plus"), fold=3)
    assert module.split.test == ("SN004",)
    assert len(module.protocol("leave_one_subject_out", PEOPLE).folds) == 9


@pytest.mark.parametrize("threshold", [1, 2])
def test_detection_is_8_units_from_a_threshold_on(tmp_path: Path, threshold: int) -> None:
    _write(tmp_path)
    module = _plus(tmp_path, coding="detection", threshold=threshold)
    assert (module.coded_scale(), module.asked_aus) == (Scale.PRESENCE, DETECTION_AUS)
    columns = [DISFA_AUS.index(code) for code in DETECTION_AUS]
    assert (module.index.labels == (_plus(tmp_path).index.labels[:, columns] >= threshold)).all()


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("# only\n# comment\n", DatasetError, r"AU5\.txt has no line such as '000\.jpg  0'"),
        ("#\n000.jpg\n", DatasetError, r"AU5\.txt:2: the row has 1 cells, not a picture and a level"),
        ("#\n000.jpg 1 2\n", DatasetError, r"AU5\.txt:2: the row has 3 cells"),
        ("#\n\n000.jpg  7\n", LabelOutOfRangeError, r"AU5\.txt:3: label 7 of AU5"),
        ("#\n000.jpg  A\n", DatasetError, r"AU5\.txt:2: 'A' as the label of AU5 is no number"),
    ],
)
def test_a_label_file_that_cannot_be_meant_is_refused(
    tmp_path: Path, text: str, error: type[DatasetError], said: str
) -> None:
    _write(tmp_path, AU5=text)
    with pytest.raises(error, match=said):
        _ = _plus(tmp_path).index


def test_a_missing_file_is_not_absence(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / f"Labels/{TRIAL}/AU26.txt").unlink()
    with pytest.raises(DatasetError, match=r"TrailNo_1 has no file AU26\.txt: a missing file does not mean"):
        _ = _plus(tmp_path).index


def test_a_trial_without_pictures_is_reported(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / f"Images/{TRIAL}/001.jpg").unlink()
    module = _plus(tmp_path)
    assert len(module.index) == 2
    assert module.findings.counts() == {"missing-image": 1}


@pytest.mark.parametrize("missing", ["Labels", "Images"])
def test_a_root_without_a_part_says_what_is_missing(tmp_path: Path, missing: str) -> None:
    _write(tmp_path)
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=f"there is no folder {missing}/SN001 below"):
        _ = _plus(tmp_path).index
