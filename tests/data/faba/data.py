"""A small fake of FABAInstruct: entries with a conversation, eval entries with other keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datamodules.dataset_options.other import FABAOptions
from datamodules.options import DatasetSettings
from tests.data.small_pictures import save, save_folds

TEXTS = (
    "The inner brow is raised (AU1) and so is the outer brow (AU2); the lips part, which is AU25.",
    "AU6 and AU12 show a smile. AU12 is strong, and AU45 is a blink.",
    "The brow is lowered: AU4. The eyes are closed, AU43.",
)
TRAIN, EVAL = 24, 6


def write(root: Path) -> DatasetSettings:
    """Write the fake below ``root``."""
    for part, count in (("train", TRAIN), ("eval", EVAL)):
        entries = []
        for number in range(count):
            name = f"{part}_{number:03d}.jpg"
            save(root / part / "images" / name)
            make = eval_entry if part == "eval" and number % 2 else entry
            entries.append(make(part, name, TEXTS[number % len(TEXTS)]))
        write_entries(root, part, entries)
        (root / part / f"{part}_emotion_anno.json").write_text("not read", encoding="utf-8")
    names = [f"train_{number:03d}.jpg" for number in range(TRAIN)]
    folds = save_folds(root, names[:12], names[12:])
    return DatasetSettings(root=root, options=FABAOptions(folds_file=folds))


def entry(part: str, name: str, text: str) -> dict[str, Any]:
    """An entry as in the training file: the path begins above the root."""
    asked = "<image>\nWhich action units (AU1 to AU43) does this face show?"
    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": text}]
    image = f"FABAInstruct/{part}/images/{name}"
    return {"source": "AffectNet", "image": image, "id": name, "conversations": turns, "landmark": "x.npy"}


def eval_entry(part: str, name: str, text: str) -> dict[str, Any]:
    """An entry as the evaluation code reads it: a bare name, and the answer as `label`."""
    del part
    return {"image": name, "label": text, "landmark": "x.npy"}


def write_entries(root: Path, part: str, entries: Sequence[Any]) -> Path:
    """Write the annotation file of a part."""
    path = root / part / f"{part}_au_anno.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path
