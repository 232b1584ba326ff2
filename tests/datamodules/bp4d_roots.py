"""Small copies of BP4D, made for one test each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datamodules.action_units import BP4D_AUS
from datamodules.base import AUDataModule
from datamodules.bp4d import BP4D
from datamodules.dataset_options.core import BP4DOptions
from datamodules.options import DatasetSettings
from tests.data.bp4d.data import NAMED
from tests.data.drawn import plain, save, save_text
from tests.datamodules.helpers import LOADING

CODED = {int(code[2:]): column % 2 for column, code in enumerate(BP4D_AUS)}
"""AU number -> label: every second of the 12 is present."""


def cells(columns: Sequence[int], frame: int, **changed: str) -> str:
    """One row of an occurrence file; ``changed`` are cells by ``au<number>``."""
    values = [changed.get(f"au{one}", str(CODED.get(one, 9))) for one in columns[1:]]
    return ",".join([str(frame), *values])


def table(frames: Sequence[int], legacy: bool = True, last: str = "0") -> str:
    """An occurrence file of either form."""
    columns = range(100) if legacy else NAMED
    rows = [cells(columns, one) for one in frames]
    if legacy:
        rows = [f"{row.rpartition(',')[0]},{last if number else '0'}" for number, row in enumerate(rows)]
    return "\n".join([",".join(str(one) for one in columns), *rows, ""])


def write_table(root: Path, text: str, sequence: str = "F001_T1") -> Path:
    return save_text(root / f"AUCoding/AU_OCC/{sequence}.csv", text)


def write_pictures(folder: Path, *names: str) -> None:
    """Pictures whose grey is ten times the number in their name."""
    for name in names:
        save(folder / name, plain(10 * int(Path(name).stem)))


def bp4d(root: Path, strict: bool = False, **options: object) -> BP4D:
    chosen = BP4DOptions(**options)  # type: ignore[arg-type]
    return BP4D(DatasetSettings(root=root, options=chosen, strict=strict), LOADING)


def greys(module: AUDataModule) -> dict[str, int]:
    """Sample id -> a tenth of the grey of its picture."""
    ids = module.index.sample_ids
    return {str(one): round(float(module.sample(row).image.mean()) / 10) for row, one in enumerate(ids)}


def said(module: AUDataModule) -> list[tuple[str, int]]:
    _ = module.index
    return list(module.findings.counts().items())
