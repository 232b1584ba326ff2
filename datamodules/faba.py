"""FABAInstruct: descriptions of faces that GPT-4V wrote, with the units it named."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from datamodules.action_units import Scale
from datamodules.dataset_options.other import FABAOptions
from datamodules.errors import DatasetError
from datamodules.images import inside
from datamodules.index import Index, IndexRows
from datamodules.labels import all_folders
from datamodules.protocols import Protocol
from datamodules.still_pictures import StillPictures, codes_of

PARTS = ("train", "eval")
_UNIT = re.compile(r"AU(\d+)")


class FABA(StillPictures):
    """FABAInstruct: 15,838 training and 325 evaluation pictures of AffectNet with a description in words.

    **Source**: Li et al., "Facial Affective Behavior Analysis with Instruction Tuning" (EmoLA), ECCV
    2024. **Licence**: research only; ask at https://johnx69.github.io/FABA, the pictures fall under
    AffectNet's.

    **Layout**: see `FABA.layout`. **AUs and scale**: presence of 20, found in the text as AU<number>;
    what it does not name counts as absent. **Missing code**: none; a text without a unit says nothing,
    and its picture is left out. **The labels are pseudo-labels of GPT-4V, not FACS coding**: a unit that
    it denies in words counts as named. EmoLA's metric joins F1 with ROUGE.

    **Known traps**: an entry holds its text as the last answer of `conversations`, in evaluation files
    also as `label` or `gpt4`; `image` is a path from some folder above (FABAInstruct/train/images/...) or
    a bare name, so what stands behind ``images/`` is looked for. Nobody was identified: every picture
    counts as a person of its own. The emotion files and landmarks are not read and may be absent.
    Protocol: the eval folder is tested.
    """

    name = "faba"
    options: FABAOptions
    options_type = FABAOptions
    aus = codes_of(FABAOptions().units)
    scale = Scale.PRESENCE
    protocols = ("eval_set", "people_folds", "own_folds")
    licence = "research only; pictures under AffectNet's agreement: https://johnx69.github.io/FABA"
    layout = """
        <root>/train/train_au_anno.json    entries with image and conversations
        <root>/train/images/               the pictures
        <root>/eval/eval_au_anno.json, <root>/eval/images/
        <root>/*/*_emotion_anno.json, <root>/*/landmarks/    not read, may be absent
    """

    def label_files(self) -> Iterable[Path]:
        """The annotation files, and every folder that pictures may be in."""
        for part in PARTS:
            yield self._table(part)
            yield from all_folders(self._images(part))

    def build_index(self) -> Index:
        """One row per entry whose text names a unit and whose picture is there."""
        rows = IndexRows()
        for part in PARTS:
            table, images = self._table(part), self._images(part)
            for number, entry in enumerate(_entries(table), 1):
                origin = f"{table}, entry {number}"
                name, units = _image(entry, origin), {int(one) for one in _UNIT.findall(_text(entry, origin))}
                path = inside(images, name, origin)
                if not units:
                    message = f"{origin}: its text names no unit: the picture {name} is left out"
                    self.findings.add("unknown-label", origin, message)
                elif not path.is_file():
                    self.findings.add("missing-image", origin, f"{origin}: {images} has no picture {name}")
                else:
                    labels = [float(unit in units) for unit in self.options.units]
                    rows.add(name, name, self.place(images / name), labels, origin, part=part)
        return rows.index(len(self.coded_aus()))

    def protocol(self, name: str, subjects: Sequence[str]) -> Protocol:
        """The eval folder is tested."""
        if name != "eval_set":
            return super().protocol(name, subjects)
        index = self.index
        return Protocol(name, 1, (tuple(index.subjects[index.attributes["part"] == "eval"].tolist()),))

    def _table(self, part: str) -> Path:
        return self.below(part, f"{part}_au_anno.json")

    def _images(self, part: str) -> Path:
        return self.below(part, "images")


def _entries(table: Path) -> list[dict[str, Any]]:
    """The entries of an annotation file."""
    try:
        read = json.loads(table.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{table} is no JSON ({error}): download the file again") from None
    if not isinstance(read, list) or not all(isinstance(entry, dict) for entry in read):
        raise DatasetError(f"{table} is no list of entries: use the file as it is distributed")
    return read


def _image(entry: dict[str, Any], origin: str) -> str:
    """The path of the picture below the folder ``images``."""
    parts = PurePosixPath(str(entry.get("image") or "").replace("\\", "/")).parts
    if "images" in parts:
        parts = parts[parts.index("images") + 1 :]
    if not parts:
        raise DatasetError(f"{origin}: there is no path in 'image': use the file as it is distributed")
    return str(PurePosixPath(*parts))


def _text(entry: dict[str, Any], origin: str) -> str:
    """The description: the last turn that is not the human's, else the answer that evaluation files hold."""
    turns = [turn for turn in entry.get("conversations") or [] if isinstance(turn, dict)]
    answers = [str(turn.get("value", "")) for turn in turns if turn.get("from") != "human"]
    texts = [*answers[-1:], *(str(entry[key]) for key in ("label", "gpt4") if entry.get(key))]
    if not texts:
        raise DatasetError(
            f"{origin}: there is neither an answer nor 'label' nor 'gpt4': nothing can be read"
        )
    return texts[0]
