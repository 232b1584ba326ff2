"""A Parquet table means what the same CSV means, and is refused with the same words."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.action_units import UNKNOWN
from datamodules.base import AUDataModule
from datamodules.errors import DatasetError, LabelOutOfRangeError
from datamodules.options import DatasetSettings, FolderOptions
from tests.data.folder.data import write
from tests.datamodules.helpers import dataset


def _read(root: Path, columns: dict[str, Any], **options: Any) -> AUDataModule:
    """The folder at `root` with these columns as its Parquet table."""
    pq.write_table(pa.table(columns), root / "labels.parquet")
    chosen = FolderOptions(table="labels.parquet", **{"scale": "level", **options})
    return dataset("folder", DatasetSettings(root=root, options=chosen))


def _columns(root: Path) -> dict[str, list[Any]]:
    with (root / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_it_means_the_same_as_the_csv(tmp_path: Path) -> None:
    plain = dataset("folder", write(tmp_path))
    columns = _columns(tmp_path)
    numbers = {
        code: [None if cell == "" else int(cell) for cell in columns[code]] for code in plain.asked_aus
    }
    for table in (columns, {**columns, **numbers}):  # labels as texts, and as numbers with nulls
        read = _read(tmp_path, table)
        assert read.asked_aus == plain.asked_aus
        assert np.array_equal(read.index.labels, plain.index.labels)
        assert read.index.sample_ids.tolist() == plain.index.sample_ids.tolist()
        assert read.fingerprint() == plain.fingerprint()
        assert str(read.index.origins[0]).endswith("labels.parquet:2")


def test_people_that_are_numbers_keep_their_names(tmp_path: Path) -> None:
    write(tmp_path)
    columns = _columns(tmp_path)
    people = [int(subject.removeprefix("P")) for subject in columns["subject"]]
    for kind in (pa.int64(), pa.float64()):
        module = _read(tmp_path, {**columns, "subject": pa.array(people, kind)})
        assert module.index.people() == [str(number) for number in range(9)]


def test_floats_and_truth_values_are_labels_and_nan_is_unknown(tmp_path: Path) -> None:
    write(tmp_path)
    columns = {name: _columns(tmp_path)[name] for name in ("image", "subject")}
    count = len(columns["image"])
    half = [float("nan"), 0.5, 1.0] * (count // 3)
    module = _read(tmp_path, {**columns, "AU1": half, "AU2": [True] * count}, scale="intensity")
    assert set(module.index.labels[:, 0].tolist()) == {UNKNOWN, 0.5, 1.0}
    assert set(module.index.labels[:, 1].tolist()) == {1.0}
    nines = _read(tmp_path, {**columns, "AU1": pa.array([9, 0, 1] * (count // 3))}, unknown="9")
    assert set(nines.index.labels[:, 0].tolist()) == {UNKNOWN, 0.0, 1.0}


@pytest.mark.parametrize(
    ("column", "values", "error", "said"),
    [
        ("AU1", [0, 7], LabelOutOfRangeError, r"labels\.parquet:3: label 7 of AU1 is outside the scale"),
        ("AU1", ["0", "much"], DatasetError, r"labels\.parquet:3: 'much' as the label of AU1 is no number"),
        ("AU_1", [0, 0], DatasetError, r"unknown Action Unit 'AU_1'"),
        ("image", ["person 0/0.png", ""], DatasetError, r"labels\.parquet:3: the cell in column 'image'"),
        (
            "image",
            ["person 0/0.png", "../x"],
            DatasetError,
            r"labels\.parquet:3: the path '\.\./x' leads out",
        ),
        ("subject", ["A", None], DatasetError, r"labels\.parquet:3: the cell in column 'subject' is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_row(
    tmp_path: Path, column: str, values: list[Any], error: type[DatasetError], said: str
) -> None:
    write(tmp_path)
    columns = {"image": ["person 0/0.png", "person 0/1.jpg"], "subject": ["A", "B"], "AU2": [0, 0]}
    with pytest.raises(error, match=said):
        _read(tmp_path, {**columns, column: values})


@pytest.mark.parametrize("content", [b"image,subject,AU1\n", b"PAR1" + bytes(40) + b"PAR1", b""])
def test_a_file_that_is_no_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels.parquet").write_bytes(content)
    settings = DatasetSettings(root=tmp_path, options=FolderOptions(table="labels.parquet"))
    with pytest.raises(DatasetError, match=r"labels\.parquet is no Parquet file or damaged"):
        dataset("folder", settings)
