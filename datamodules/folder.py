"""Any folder of pictures with a table of labels."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.action_units import UNKNOWN, Scale, action_unit
from datamodules.base import AUDataModule
from datamodules.errors import DatasetError
from datamodules.images import inside, read_image
from datamodules.index import Index
from datamodules.options import DatasetSettings, FolderOptions, LoaderSettings
from datamodules.protocols import Protocol, people_folds

Row = tuple[int, dict[str, str]]  # number of the line, cells by column

# In any case and notation, so that "au12" and "AU_12" are refused as misspelt and not passed over.
_LIKE_A_CODE = re.compile(r"a[ud][ _-]?\d", re.IGNORECASE)


class Folder(AUDataModule):
    """Your own labelled pictures: a CSV with an image, a subject and one column per Action Unit."""

    name = "folder"
    protocols = ("people_folds",)
    licence = "your own"
    layout = """
        <root>/labels.csv            header: image,subject,AU1,AU2,...  (other columns are not read)
        <root>/<image>               the path in the column 'image'
        An empty cell or -1 is unknown: it is masked, never taken for absent.
    """

    def __init__(self, settings: DatasetSettings, loading: LoaderSettings) -> None:
        super().__init__(settings, loading)
        self.options: FolderOptions = settings.options or FolderOptions()
        self._coded: tuple[str, ...] = ()

    def coded_aus(self) -> tuple[str, ...]:
        """The columns of the table that are codes of the FACS vocabulary."""
        if not self._coded:
            self._coded = self._table()[0]
        return self._coded

    def coded_scale(self) -> Scale:
        """As the option says."""
        return Scale(self.options.scale)

    def build_index(self) -> Index:
        """One row of the table per face."""
        codes, rows = self._table()
        root, options, table = self.root(), self.options, self.options.table
        labels, places, subjects, origins = [], [], [], []
        for line, row in rows:
            origin = f"{root / table}:{line}"
            image, subject = (
                self._filled(row, column, origin) for column in (options.image, options.subject)
            )
            labels.append([self._label(row[code], origin, code) for code in codes])
            places.append(str(inside(root, image, origin).relative_to(root.resolve())))
            subjects.append(subject)
            origins.append(origin)
        return Index(
            sample_ids=np.array(places, dtype=np.str_),
            subjects=np.array(subjects, dtype=np.str_),
            places=np.array(places, dtype=np.str_),
            labels=np.array(labels, dtype=np.float32).reshape(len(places), len(codes)),
            origins=np.array(origins, dtype=np.str_),
        )

    def load_image(self, place: str) -> npt.NDArray[np.uint8]:
        """The picture at a path below the root."""
        return read_image(inside(self.root(), place, self.options.table))

    def protocol(self, name: str, subjects: Sequence[str]) -> Protocol:
        """People dealt out to folds by a hash of their names."""
        return people_folds(name, 1, subjects, self.options.folds)

    def _table(self) -> tuple[tuple[str, ...], list[Row]]:
        """The codes that have a column, and the rows with the number of their line."""
        path = self.root() / self.options.table
        if not path.is_file():
            raise DatasetError(
                f"dataset '{self.name}' has no label table {path}: put it there, "
                f"or set data.datasets.{self.name}.options.table to its name"
            )
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.DictReader(file)
                header = [name.strip() for name in reader.fieldnames or []]
                reader.fieldnames = header
                rows = [(reader.line_num, row) for row in reader]
        except (UnicodeDecodeError, csv.Error) as error:
            raise DatasetError(f"{path} is no CSV in UTF-8 ({error}): save it as one") from None
        codes = self._codes(path, header)
        self._whole(path, header, rows)
        return codes, rows

    def _codes(self, path: Path, header: Sequence[str]) -> tuple[str, ...]:
        """The columns that are Action Units; refuses a header that lacks a column or has one twice."""
        found = f"the header has {', '.join(header)}"
        for column in (self.options.image, self.options.subject):
            if column not in header:
                raise DatasetError(f"{path}:1: there is no column '{column}': {found}")
        codes = tuple(name for name in header if _LIKE_A_CODE.match(name))
        for code in codes:
            action_unit(code)  # refuses a misspelt code with the nearest one
            if header.count(code) > 1:
                raise DatasetError(f"{path}:1: column '{code}' stands twice: take one of the two out")
        if not codes:
            raise DatasetError(f"{path}:1: no column is an Action Unit such as AU12: {found}")
        return codes

    def _whole(self, path: Path, header: Sequence[str], rows: Sequence[Row]) -> None:
        """Refuse rows with too few or too many cells: a shifted column would be a wrong label."""
        for line, row in rows:
            if None in row or any(row[name] is None for name in header):
                raise DatasetError(
                    f"{path}:{line}: the row has not {len(header)} cells as the header: mend the row"
                )

    def _filled(self, row: dict[str, str], column: str, origin: str) -> str:
        text = row[column].strip()
        if not text:
            raise DatasetError(
                f"{origin}: the cell in column '{column}' is empty: fill it, or take the row out"
            )
        return text

    def _label(self, cell: str, origin: str, code: str) -> float:
        text = cell.strip()
        if text in ("", self.options.unknown):
            return UNKNOWN
        try:
            return float(text)
        except ValueError:
            raise DatasetError(
                f"{origin}: '{text}' in column {code} is no number: write it with a point, "
                "or leave it empty if unknown"
            ) from None
