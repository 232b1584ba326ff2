"""`aullava report`: one or more tested runs as one page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aullava.evaluation.errors import ResultError
from aullava.report_page import page
from aullava.report_run import read_run
from aullava.training.run_folder import write_text


def run_report(folders: Sequence[Path], out: Path | None) -> Path:
    """Write the report.

    Args:
        folders: of tested runs.
        out: the file; None: ``report.html`` in the folder of the first run.

    Returns:
        The file.

    Raises:
        ResultError: a run has no result or was not tested, or the file cannot be written.
    """
    runs = [read_run(folder) for folder in folders]
    path = out or folders[0] / "report.html"
    text = page(runs)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise ResultError(f"{path} cannot be written ({error.strerror}): give another --out") from None
    return path
