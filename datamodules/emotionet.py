"""EmotioNet: pictures from the web, of which 24,600 were coded by hand."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from datamodules.action_units import UNKNOWN, Scale
from datamodules.dataset_options.other import EmotioNetOptions
from datamodules.errors import DatasetError
from datamodules.index import Index, IndexRows
from datamodules.labels import PICTURES, all_folders, child, label
from datamodules.spreadsheet import read_columns
from datamodules.still_pictures import StillPictures, codes_of

NOT_LABELLED = 999.0
_NAME = re.compile(r"N_\d+_\d+\.\w+", re.IGNORECASE)


class EmotioNet(StillPictures):
    """EmotioNet: the 24,600 hand-coded pictures of the 2020 challenge.

    **Source**: Fabian Benitez-Quiroz et al., CVPR 2016. **Licence**: research only, signed; ask at
    https://cbcsl.ece.ohio-state.edu.

    **Layout**: see `EmotioNet.layout`. **AUs and scale**: presence of `options.units`, by default 12; the
    table has 60 columns. **Missing code**: 999 (also -1 and empty cells). Rows in which all chosen units
    are missing are left out.

    **Known traps**: column names are quoted twice (``'AU 1'``), **the URLs end with a stray quote**, and
    they are of two kinds: `URL` of the archive, which holds the picture's name, and `URL orig` of the
    web. Many are dead, so pictures are found by file name anywhere below Images, and how many are there
    is reported. Nobody was identified: every picture counts as a person of its own, or, with
    `options.people=folder`, every folder of the archive does. The other pictures of the archive were
    coded by a machine and are not read. There is no official split by people.
    """

    name = "emotionet"
    options: EmotioNetOptions
    options_type = EmotioNetOptions
    aus = codes_of(EmotioNetOptions().units)
    scale = Scale.PRESENCE
    protocols = ("people_folds", "own_folds")
    licence = "research only, by signed agreement: https://cbcsl.ece.ohio-state.edu"
    layout = """
        <root>/EmotioNet_FACS_aws_2020_24600.csv            or .xlsx: URL, URL orig, 'AU 1' ... 'AU 60'
        <root>/Images/N_0000000001/N_0000000001_00002.jpg   the pictures, in whatever folders
    """

    def label_files(self) -> Iterable[Path]:
        """The table, and every folder that pictures may be in."""
        return (self._table(), *all_folders(self.below(self.options.pictures)))

    def build_index(self) -> Index:
        """One row per line of the table with a label whose picture is there."""
        table, pictures = self._table(), self._pictures()
        columns = [f"AU {number}" for number in self.options.units]
        rows, missing, read = IndexRows(), 0, 0
        for line, cells in read_columns(table, ["URL", *columns]):
            origin = f"{table}:{line}"
            labels = [label(cells[name], origin, name, (NOT_LABELLED, UNKNOWN)) for name in columns]
            found = _NAME.search(cells["URL"])
            if found is None:
                raise DatasetError(
                    f"{origin}: '{cells['URL']}' holds no picture name N_<folder>_<number>: correct the cell"
                )
            read, name = read + 1, found[0].lower()
            if all(value == UNKNOWN for value in labels):
                self.findings.add(
                    "unknown-label", origin, f"{origin}: none of the units is labelled: left out"
                )
            elif name not in pictures:
                missing += 1
            else:
                stem = Path(found[0]).stem
                person = stem if self.options.people == "picture" else stem.rpartition("_")[0]
                rows.add(stem, person, self.place(pictures[name]), labels, origin)
        if missing:
            message = (
                f"{missing} of the {read} pictures of {table} are not there (many of their URLs are dead)"
            )
            self.findings.add("dead-url", table, message, missing)
        return rows.index(len(columns))

    def _table(self) -> Path:
        """The label table, as CSV or workbook."""
        name = self.options.table
        patterns = [name] if name.lower().endswith((".csv", ".xlsx")) else [f"{name}.csv", f"{name}.xlsx"]
        found = child(self.root(), *patterns)
        if found is None:
            raise DatasetError(
                f"dataset '{self.name}' has no label table {' or '.join(patterns)} in {self.root()}: put it "
                f"there, or set data.datasets.{self.name}.options.table to its name"
            )
        return found

    def _pictures(self) -> dict[str, Path]:
        """Every picture of the archive by its name in lower case."""
        found: dict[str, Path] = {}
        for folder, _, names in os.walk(self.below(self.options.pictures)):
            for name in names:
                if not name.lower().endswith(PICTURES) or not _NAME.fullmatch(name):
                    continue
                if name.lower() in found:
                    other = found[name.lower()]
                    raise DatasetError(
                        f"{name} is both in {other.parent} and in {folder}: take one of the two out"
                    )
                found[name.lower()] = Path(folder, name)
        return found
