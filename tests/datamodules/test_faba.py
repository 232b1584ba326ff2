"""FABAInstruct: units in the words of a conversation, paths that begin above the root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datamodules.errors import DatasetError
from tests.data.faba.data import EVAL, TEXTS, TRAIN, entry, eval_entry, write, write_entries
from tests.datamodules.rows import ids_of, labels_of, messages, opened, present_in, row_of

NAME = "train_000.jpg"


def test_units_are_read_from_the_answer(tmp_path: Path) -> None:
    module = opened("faba", write(tmp_path))
    assert len(module.asked_aus) == 20
    assert present_in(module, NAME) == {"AU1", "AU2", "AU25"}  # the question names AU43
    assert labels_of(module, NAME)["AU43"] == 0
    assert present_in(module, "train_001.jpg") == {"AU6", "AU12"}  # AU45 is none of the 20


def test_the_path_of_a_picture_may_begin_above_the_root(tmp_path: Path) -> None:
    module = opened("faba", write(tmp_path))
    assert str(module.index.places[row_of(module, NAME)]) == f"train/images/{NAME}"
    assert str(module.index.places[row_of(module, "eval_001.jpg")]) == "eval/images/eval_001.jpg"
    assert module.sample(row_of(module, NAME)).image.size


@pytest.mark.parametrize("key", ["label", "gpt4"])
def test_eval_entries_hold_their_text_under_other_keys(tmp_path: Path, key: str) -> None:
    settings = write(tmp_path)
    entries = [eval_entry("eval", f"eval_{n:03d}.jpg", TEXTS[1]) for n in range(EVAL)]
    entries = [{key: one.pop("label"), **one} for one in entries]
    write_entries(tmp_path, "eval", entries)
    assert present_in(opened("faba", settings), "eval_000.jpg") == {"AU6", "AU12"}


def test_a_text_without_a_unit_says_nothing(tmp_path: Path) -> None:
    settings = write(tmp_path)
    entries = [entry("train", f"train_{n:03d}.jpg", TEXTS[0] if n else "A calm face.") for n in range(TRAIN)]
    path = write_entries(tmp_path, "train", entries)
    module = opened("faba", settings)
    assert NAME not in ids_of(module)
    told = f"{path}, entry 1: its text names no unit: the picture {NAME} is left out"
    assert messages(module, "unknown-label") == [told]


def test_the_eval_folder_is_tested(tmp_path: Path) -> None:
    module = opened("faba", write(tmp_path))
    assert module.split.test == tuple(f"eval_{number:03d}.jpg" for number in range(EVAL))
    assert len(module.split.train) + len(module.split.val) == TRAIN


def test_it_says_that_its_labels_are_no_facs_coding() -> None:
    from datamodules.faba import FABA

    assert "pseudo-labels" in str(FABA.__doc__)


def test_a_missing_picture_is_reported(tmp_path: Path) -> None:
    settings = write(tmp_path)
    (tmp_path / f"train/images/{NAME}").unlink()
    module = opened("faba", settings)
    assert module.findings.counts() == {"missing-image": 1}
    with pytest.raises(DatasetError, match=rf"train_au_anno\.json, entry 1: .* has no picture {NAME}"):
        opened("faba", settings, strict=True)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (
            [entry("train", "../../../x.jpg", "AU1")],
            r"entry 1: the path '\.\./\.\./\.\./x\.jpg' leads out of",
        ),
        ([{"image": "/etc/hosts", "label": "AU1"}], r"entry 1: the path '/etc/hosts' leads out of"),
        ([{"conversations": []}], r"entry 1: there is no path in 'image'"),
        ([{"image": NAME, "conversations": []}], r"entry 1: there is neither an answer nor 'label'"),
        ([entry("train", NAME, "AU1")] * 2, r"entry 2: sample 'train_000\.jpg' .* stands twice"),
        (["AU1"], r"train_au_anno\.json is no list of entries"),
        ({"image": NAME}, r"train_au_anno\.json is no list of entries"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused(tmp_path: Path, entries: Any, said: str) -> None:
    settings = write(tmp_path)
    write_entries(tmp_path, "train", entries)
    with pytest.raises(DatasetError, match=said):
        opened("faba", settings)


@pytest.mark.parametrize("text", ["<html>", "[", "\ufeff"])
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    settings = write(tmp_path)
    write_entries(tmp_path, "eval", []).write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"eval_au_anno\.json is no JSON"):
        opened("faba", settings)
