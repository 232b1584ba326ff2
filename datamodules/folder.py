"""Any folder of pictures with a table of labels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.action_units import Scale
from datamodules.errors import DatasetError
from datamodules.file_dataset import FileDataset
from datamodules.findings import Finding
from datamodules.folder_table import Cell, codes_of, read_header, read_rows
from datamodules.images import inside, read_image
from datamodules.index import Index, IndexRows
from datamodules.labels import label
from datamodules.options import DatasetSettings, FolderOptions, LoaderSettings


class Folder(FileDataset):
    """Your own labelled pictures: a table with an image, a subject and one column per Action Unit.

    **Source** and **Licence**: your own; nobody need be asked.

    **Layout**: see `Folder.layout`. **AUs and scale**: every column that is called by a code of the FACS
    vocabulary (``AU12``, ``AU12L``, ``AD34``), on the scale of `options.scale`. **Missing code**:
    `options.unknown` (-1), an empty cell, ``?`` and NaN.

    **Known traps**: a subject must be one person under one name, or that person is trained on and tested;
    frames of one video belong to one subject. A copy of a published dataset shows its people
    (`options.same_people_as`). 0 is absent: what nobody coded stays empty.
    """

    name = "folder"
    options: FolderOptions
    options_type = FolderOptions
    protocols = ("people_folds", "leave_one_subject_out", "own_folds")
    licence = "your own"
    layout = """
        <root>/labels.csv            header: image,subject,AU1,AU2,...  (other columns are not read)
        <root>/<image>               the path in the column 'image'
        The table may be Parquet as well (options.table=labels.parquet). An empty cell, '?', NaN or -1 is
        unknown: it is masked, never taken for absent. A row without its picture is left out and reported.
    """

    def __init__(self, settings: DatasetSettings, loading: LoaderSettings) -> None:
        super().__init__(settings, loading)
        self._coded: tuple[str, ...] = ()

    def coded_aus(self) -> tuple[str, ...]:
        """The columns of the table that are codes of the FACS vocabulary."""
        if not self._coded:
            needed = (self.options.image, self.options.subject)
            self._coded = codes_of(self.table(), read_header(self.table()), needed)
        return self._coded

    def coded_scale(self) -> Scale:
        """As the option says."""
        return Scale(self.options.scale)

    def present_from(self, code: str) -> float | None:
        """As the option says."""
        return self.options.present_from

    def identity(self, subject: str) -> str:
        """As the option says."""
        return f"{self.options.same_people_as or self.name}:{subject}"

    def label_files(self) -> Iterable[Path]:
        """The table."""
        return (self.table(),)

    def outdated(self, findings: Iterable[Finding]) -> bool:
        """Whether a picture that was missing when the table was read has come."""
        return any(found.kind == "missing-image" and Path(found.where).is_file() for found in findings)

    def build_index(self) -> Index:
        """One row of the table per face."""
        table, options, root = self.table(), self.options, self.root()
        codes, real_root = self.coded_aus(), self.root().resolve()
        rows = IndexRows()
        for line, (image, subject, *cells) in read_rows(
            table, read_header(table), (options.image, options.subject, *codes)
        ):
            origin = f"{table}:{line}"
            path = inside(root, _filled(image, options.image, origin), origin)
            person = _filled(subject, options.subject, origin)
            labels = [self._label(cell, origin, code) for cell, code in zip(cells, codes, strict=True)]
            if not path.is_file():
                said = f"{origin}: there is no picture {path}: bring it, or take the row out"
                self.findings.add("missing-image", path, said)
                continue
            place = str(path.relative_to(real_root))
            rows.add(place, person, place, labels, origin)
        return rows.index(len(codes))

    def load_image(self, place: str) -> npt.NDArray[np.uint8]:
        """The picture at a path below the root."""
        return read_image(inside(self.root(), place, self.options.table))

    def table(self) -> Path:
        """The label table.

        Raises:
            DatasetError: it is missing.
        """
        path = self.root() / self.options.table
        if not path.is_file():
            raise DatasetError(
                f"dataset '{self.name}' has no label table {path}: put it there, "
                f"or set data.datasets.{self.name}.options.table to its name"
            )
        return path

    def _label(self, cell: Cell, origin: str, code: str) -> float:
        return label("" if cell is None else cell, origin, code, (self.options.unknown, *self._unknown()))

    def _unknown(self) -> tuple[float, ...]:
        """The word for unknown as a number, for tables whose cells are numbers."""
        try:
            return (float(self.options.unknown),)
        except ValueError:
            return ()


def _filled(cell: Cell, column: str, origin: str) -> str:
    text = _text(cell)
    if not text:
        raise DatasetError(f"{origin}: the cell in column '{column}' is empty: fill it, or take the row out")
    return text


def _text(cell: Cell) -> str:
    """A cell as a name: a subject that a Parquet file keeps as the number 12 is called 12, not 12.0."""
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
