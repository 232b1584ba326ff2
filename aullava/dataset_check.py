"""What `aullava datasets check` does with its words: one dataset read whole, its report, what to say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from aullava.config.schema import DatasetConfig
from aullava.dataset_originals import build_originals
from datamodules.check import Looked, check_dataset
from datamodules.check_report import refuse_place, summary, write_report


def run_check(name: str, config: DatasetConfig, out: Path, pictures: bool, workers: int) -> tuple[bool, str]:
    """Check a dataset as it was unpacked.

    Args:
        name: registered name.
        config: root and options; a store or crop settings in it are not looked at.
        out: folder of the report.
        pictures: whether every picture is decoded.
        workers: processes that decode; 0: this one.

    Returns:
        Whether something is broken, and the summary for the terminal.

    Raises:
        DatasetError: the structure is broken, the report cannot be written, or the check is strict and
            something was found.
    """
    refuse_place(out)
    checked = check_dataset(build_originals(name, config), pictures, workers, _bar)
    page = write_report(checked, out)
    return bool(checked.broken), f"{summary(checked)}\nreport    {page}"


def _bar(blocks: Iterator[list[Looked]], total: int) -> Iterator[list[Looked]]:
    """Show pictures per second and the time left, on a terminal."""
    with tqdm(total=total, desc="pictures", unit="img", disable=None) as bar:
        for block in blocks:
            yield block
            bar.update(len(block))
