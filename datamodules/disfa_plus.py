"""DISFA+: 9 people of DISFA show Action Units on request, 57,150 frames."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from datamodules.dataset_options.core import DISFAPlusOptions
from datamodules.disfa_coding import DISFACoding
from datamodules.disfa_files import people_in
from datamodules.errors import DatasetError
from datamodules.frame_tables import FrameTable, Origins, joined, levels_only
from datamodules.index import Index, IndexRows
from datamodules.labels import PICTURES, label, listed_folders, natural, read_table
from datamodules.layout import below
from datamodules.sequences import Sequence, add_sequence, tell_unlabelled


class DISFAPlus(DISFACoding):
    """DISFA+: posed and spontaneous expressions of 9 people of DISFA.

    **Source**: Mavadati, Sanger and Mahoor, "Extended DISFA dataset", CVPR workshops 2016. **Licence**:
    research only, signed by a professor; ask the University of Denver (mohammadmahoor.com/disfa).

    **Layout**: see `DISFAPlus.layout`. **AUs and scale**: the 12 of DISFA, 0-5; detection as there.
    **Missing code**: none.

    **Known traps**: all 9 people are also in DISFA, so a mixture of the two must not train on them in one
    and test in the other (`AUDataModule.identity`); the trials are called "TrailNo"; label files begin
    with lines of comment and have several spaces between name and level.
    """

    name = "disfa_plus"
    protocols = ("leave_one_subject_out", "own_folds")
    licence = "research only, signed agreement; ask the University of Denver (mohammadmahoor.com/disfa)"
    layout = """
        <root>/Labels/SN001/A1_AU1_TrailNo_2/AU1.txt      lines "000.jpg    0" below lines of comment
        <root>/Images/SN001/A1_AU1_TrailNo_2/000.jpg
        <root>/Aligned, <root>/FaceLandmarks              not read, may be absent
        All of it may lie in DISFAPlusDataset below the root.
    """
    options_type = DISFAPlusOptions
    same_people_as = "disfa"

    def label_files(self) -> Iterable[Path]:
        """The label files, and the folders of the pictures."""
        trials = self._trials()
        files = [path for trial in trials.values() for path in self._of_trial(trial).values()]
        pictures = self._pictures()
        return [*files, *(pictures[name] for name in trials if name in pictures)]

    def build_index(self) -> Index:
        """Every coded frame that has a picture."""
        rows, pictures, trials = IndexRows(), self._pictures(), self._trials()
        tell_unlabelled(self.findings, pictures, trials)
        for name, trial in trials.items():
            tables = [read_named_frames(path, code) for code, path in self._of_trial(trial).items()]
            places = self.raw.of_folder(pictures[name]) if name in pictures else {}
            coded = Sequence(name, name.partition("/")[0], self.coded(joined(tables)))
            add_sequence(rows, self.findings, coded, places, 0)
        return rows.index(len(self.coded_aus()))

    def _trials(self) -> dict[str, Path]:
        """The label folders by ``SN001/A1_AU1_TrailNo_2``."""
        labels = below(self.root(), "Labels")
        if labels is None:
            raise DatasetError(
                f"there is no folder Labels/SN001 below {self.root()}: unpack the labels there"
            )
        return _folders_of_people(labels)

    def _pictures(self) -> dict[str, Path]:
        images = below(self.root(), "Images")
        if images is None:
            raise DatasetError(
                f"there is no folder Images/SN001 below {self.root()}: unpack the pictures there"
            )
        return _folders_of_people(images)

    def _of_trial(self, folder: Path) -> dict[str, Path]:
        """The label file of every Action Unit."""
        files = {path.name.lower(): path for path in folder.iterdir()}
        for code in self.coded_aus():
            if f"{code.lower()}.txt" not in files:
                raise DatasetError(
                    f"{folder} has no file {code}.txt: a missing file does not mean absent, unpack the "
                    "labels again"
                )
        return {code: files[f"{code.lower()}.txt"] for code in self.coded_aus()}


def read_named_frames(path: Path, code: str) -> FrameTable:
    """A label file of one Action Unit whose rows begin with the name of a picture; other lines are comment.

    Raises:
        DatasetError: no line begins with a picture, or a label is missing, no number or no level.
    """
    rows = [(line, cells) for line, cells in read_table(path) if cells[0].lower().endswith(PICTURES)]
    if not rows:
        raise DatasetError(f"{path} has no line such as '000.jpg  0': unpack the labels again")
    frames, labels = [], []
    for line, cells in rows:
        origin = f"{path}:{line}"
        if len(cells) != 2:
            raise DatasetError(
                f"{origin}: the row has {len(cells)} cells, not a picture and a level: mend the row"
            )
        frames.append(natural(Path(cells[0]).stem))
        labels.append([label(cells[1], origin, code)])
    lines = np.array([line for line, _ in rows], np.int64)
    origins = Origins((path,), np.zeros(len(rows), np.int64), lines)
    table = FrameTable(np.array(frames, np.int64), np.array(labels, np.float32), origins, (code,))
    return levels_only(table)


def _folders_of_people(folder: Path) -> dict[str, Path]:
    people = people_in(folder).items()
    return {f"{person}/{trial.name}": trial for person, inside in people for trial in listed_folders(inside)}
