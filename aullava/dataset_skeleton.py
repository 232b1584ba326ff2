"""What `aullava datasets new` writes: a dataset of your own as a small package that works as it stands.

The four parts of the path stand in it: the dataset, a fake of its files, an experiment, and a test that holds
it against the contract of all datasets. Change the texts below together with docs/adding_a_dataset.md.
"""

from __future__ import annotations

import importlib.util
import keyword
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from string import Template
from typing import Final

from aullava.arguments import UsageError

CHECKOUT: Final = Path(__file__).resolve().parents[1]
"""Where this package lies; the contract tests stand beside it."""

MODULE: Final = '''\
"""$title: who recorded it, and whom it shows."""

import numpy as np

from datamodules.action_units import Scale
from datamodules.base import AUDataModule
from datamodules.errors import DatasetError
from datamodules.images import inside, read_image
from datamodules.index import Index, IndexRows
from datamodules.labels import label, read_table
from datamodules.protocols import Protocol, people_folds


class $Class(AUDataModule):
    """What the faces show, how they were coded, and the traps of the files."""

    name = "$name"
    aus = ("AU1", "AU12", "AU25")
    scale = Scale.PRESENCE
    protocols = ("people_folds",)
    licence = "its licence, and where to ask for access"
    layout = """
        <root>/labels.csv    header: image,person,AU1,AU12,AU25; 0 absent, 1 present, 9 not coded
        <root>/<image>       the path in the column 'image'
    """

    def build_index(self) -> Index:
        table, found = self.root() / "labels.csv", IndexRows()
        (_, header), *rows = read_table(table, ",", header=True)
        if missing := {"image", "person", *self.aus}.difference(header):
            raise DatasetError(f"{table}:1: there is no column {sorted(missing)[0]}: unpack the file again")
        for line, cells in rows:
            row, origin = dict(zip(header, cells, strict=True)), f"{table}:{line}"
            labels = [label(row[code], origin, code, unknown=("9",)) for code in self.aus]
            found.add(row["image"], row["person"], row["image"], labels, origin)
        return found.index(len(self.aus))

    def load_image(self, place: str) -> np.ndarray:
        return read_image(inside(self.root(), place, "labels.csv"))

    def protocol(self, name: str, subjects: list[str]) -> Protocol:
        return people_folds(name, 1, subjects, 3)
'''

FAKE: Final = '''\
"""Drawn faces in the layout of $name, with labels that mean nothing."""

import csv
from pathlib import Path

from PIL import Image

from datamodules.drawn_faces.scene import draw_face
from datamodules.options import DatasetSettings


def write(root: Path) -> DatasetSettings:
    rows = []
    for person, number in ((person, number) for person in range(9) for number in range(4)):
        image = f"p{person}/{number}.png"
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_face(0, person, number, 64)[0]).save(root / image)
        rows.append((image, f"p{person}", (person + number) % 2, number % 2, 9 if number == 3 else 1))
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "person", "AU1", "AU12", "AU25"), *rows])
    return DatasetSettings(root=root)
'''

EXPERIMENT: Final = """\
# aullava fit $name.yaml data.datasets.$name.root=/path/to/it (or set $ROOT)
extends: [base, model/tiny]
experiment: $name
trainer:
  max_steps: 500
data:
  datasets:
    $name:
      root: $${oc.env:$ROOT,null}
"""

TEST: Final = '''\
"""The contract of all datasets for $name, and what only its own files can have wrong."""

from pathlib import Path

import pytest
from $name_fake import write

from datamodules.action_units import UNKNOWN
from datamodules.errors import DatasetError
from datamodules.options import DatasetSettings
from tests.datamodules.helpers import dataset
from tests.datamodules.test_contract import *  # noqa: F403 - every test there runs on this dataset


@pytest.fixture
def name() -> str:
    return "$name"


@pytest.fixture
def settings(tmp_path: Path) -> DatasetSettings:
    return write(tmp_path / "$name")


def test_nine_is_unknown_and_not_absent(settings: DatasetSettings) -> None:
    labels = dataset("$name", settings).index.labels
    assert (labels[3::4, 2] == UNKNOWN).all()
    assert (labels[::4, 2] == 1).all()


def test_a_missing_column_is_named(settings: DatasetSettings) -> None:
    table = settings.root / "labels.csv"
    table.write_text(table.read_text().replace("AU12", "AU13"))
    with pytest.raises(DatasetError, match=r"labels\\.csv:1: there is no column AU12"):
        dataset("$name", settings)
'''

PROJECT: Final = """\
[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[project]
name = "$package"
version = "0.1.0"
dependencies = ["aullava"]

[project.entry-points."aullava.datamodules"]
$name = "$name:$Class"

[tool.setuptools]
py-modules = ["$name", "${name}_fake"]

[tool.pytest.ini_options]
addopts = ["--import-mode=importlib"]
# This folder, and the checkout of AU-LLaVA, whose contract tests run on this dataset too.
pythonpath = [".", "$checkout"]
"""

FILES: Final = {
    "pyproject.toml": PROJECT,
    "{name}.py": MODULE,
    "{name}_fake.py": FAKE,
    "{name}.yaml": EXPERIMENT,
    "test_{name}.py": TEST,
}


def write_skeleton(name: str, folder: Path, taken: Collection[str]) -> Path:
    """Write the package of a new dataset.

    Args:
        name: of the dataset, which is that of its module too.
        folder: gets a folder of this name.
        taken: names of the registered datasets.

    Returns:
        The new folder, with the files of `FILES`.

    Raises:
        UsageError: a name that is no plain word or already means something, or a folder that cannot be
            written or exists.
    """
    _check(name, taken)
    words = {
        "name": name,
        "name_fake": f"{name}_fake",
        "Class": "".join(part.capitalize() for part in name.split("_")),
        "title": name.replace("_", " ").capitalize(),
        "package": name.replace("_", "-"),
        "ROOT": f"{name.upper()}_ROOT",
        "checkout": CHECKOUT.as_posix(),
    }
    home, draft = folder / name, folder / f".{name}.{os.getpid()}"
    if home.exists():
        raise UsageError(f"{home} exists already: take another name, or another folder by --to")
    try:
        draft.mkdir(parents=True)
        for file, text in FILES.items():
            (draft / file.format(name=name)).write_text(Template(text).substitute(words), encoding="utf-8")
        draft.rename(home)
    except OSError as error:
        raise UsageError(f"nothing can be written to {folder} ({error.strerror}): give --to") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return home


def next_steps(home: Path) -> str:
    """What to do with a new package, for the terminal."""
    name = home.name
    return (
        f"written: {home}\n"
        f"  pip install -e {home}     then `aullava datasets {name}` knows it\n"
        f"  pytest {home}     the contract of all datasets, on the fake of {name}_fake.py\n"
        f"  aullava fit {home / name}.yaml data.datasets.{name}.root=/path/to/it"
    )


def _check(name: str, taken: Collection[str]) -> None:
    if not name.isidentifier() or name != name.lower() or keyword.iskeyword(name) or name.startswith("_"):
        letters = "take a word of lower-case letters, digits and '_'"
        more = ", not one of Python's own" if keyword.iskeyword(name) else ""
        raise UsageError(f"'{name}' cannot be a dataset: {letters}{more}")
    if name in taken:
        raise UsageError(f"there is already a dataset '{name}': take another name")
    if name in ("new", "check") or importlib.util.find_spec(name) is not None:
        raise UsageError(f"'{name}' already means something to Python or to aullava: take another name")
