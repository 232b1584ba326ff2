"""Each error of the datasets has one wording, and survives the way out of a DataLoader worker."""

import pickle

import pytest

from datamodules.errors import (
    BrokenImageError,
    BrokenStoreError,
    BrokenVideoError,
    DatasetError,
    EmptyDatasetError,
    LabelOutOfRangeError,
    MissingRootError,
    SubjectLeakError,
    UnknownActionUnitError,
    UnknownDatasetError,
    nearest,
)

WORDINGS = [
    (
        MissingRootError.of("bp4d", None, "AUCoding/"),
        "dataset 'bp4d' has no root: set data.datasets.bp4d.root to the folder that holds AUCoding/",
    ),
    (
        MissingRootError.of("bp4d", "/x", "AUCoding/"),
        "dataset 'bp4d' has a root that is not a folder (/x): set data.datasets.bp4d.root to the folder that "
        "holds AUCoding/",
    ),
    (
        EmptyDatasetError.of("disfa", "/x/ActionUnit_Labels", "SN001/SN001_au1.txt"),
        "dataset 'disfa' found no samples in /x/ActionUnit_Labels: make sure that it holds "
        "SN001/SN001_au1.txt",
    ),
    (
        BrokenImageError.of("/x/1.jpg", "truncated"),
        "image /x/1.jpg cannot be read (truncated): replace the file or take its row out of the labels",
    ),
    (
        BrokenStoreError.of("/x/shards/00001.arrow", "it has 90 bytes of 100"),
        "prepared faces /x/shards/00001.arrow cannot be read (it has 90 bytes of 100): delete this file and "
        "run the same `aullava prepare` again, which makes it anew",
    ),
    (
        BrokenVideoError.of("/x/v.avi", 7, "it ends after 5 frames"),
        "video /x/v.avi cannot be read at frame 7 (it ends after 5 frames): copy the file anew from its "
        "source",
    ),
    (
        LabelOutOfRangeError.of("/x/a.csv:12", "AU12", 7.0, "level", "0, 1, 2, 3, 4 or 5"),
        "/x/a.csv:12: label 7 of AU12 is outside the scale 'level' (0, 1, 2, 3, 4 or 5): correct the file, "
        "or mark the value as unknown",
    ),
    (
        UnknownActionUnitError.of("AU12X", ["AU1", "AU12", "AD34"]),
        "unknown Action Unit 'AU12X': did you mean 'AU12'? (every code stands in datamodules/facs_table.py)",
    ),
    (
        UnknownDatasetError.of("bp4", ["disfa", "bp4d"]),
        "unknown dataset 'bp4': did you mean 'bp4d'? (`aullava datasets` lists all of them)",
    ),
    (
        SubjectLeakError.of("bp4d/F001", "train", "test", "3fold"),
        "subject 'bp4d/F001' is in both train and test of protocol '3fold': give every subject to one part "
        "only",
    ),
]


@pytest.mark.parametrize(("error", "wording"), WORDINGS)
def test_wording(error: DatasetError, wording: str) -> None:
    assert str(error) == wording
    assert error.for_user


@pytest.mark.parametrize("error", [error for error, _ in WORDINGS])
def test_type_survives_a_worker_process(error: DatasetError) -> None:
    """A DataLoader rebuilds the error as type(message); other pools pickle it."""
    assert type(pickle.loads(pickle.dumps(error))) is type(error)  # noqa: S301 - our own bytes
    assert str(type(error)("Caught ...\n" + str(error))).endswith(str(error))


def test_every_error_is_tested() -> None:
    here = {kind for kind in DatasetError.__subclasses__() if kind.__module__ == DatasetError.__module__}
    assert {type(error) for error, _ in WORDINGS} == here


def test_nearest_ignores_case() -> None:
    assert nearest("BP4D", ["disfa", "bp4d_plus", "bp4d"]) == "bp4d"
