"""What a check found: a page to read (HTML, all in one file), the same as a picture (PNG), numbers (JSON)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from html import escape
from io import BytesIO
from pathlib import Path

from PIL import Image

from datamodules.check import BROKEN, Checked, PartSize
from datamodules.check_counts import Compared, written
from datamodules.check_figures import label_figures, level_figures, people_figures, together_figure
from datamodules.errors import DatasetError
from datamodules.plot_drawing import as_picture, as_svg

SHOWN = 100
"""Findings of one kind that the page lists; all of them stand in the JSON file."""

FOLDS_SHOWN = 6
"""Folds of one protocol that the page lists: leave-one-subject-out has one for each person."""

_STYLE = """
body{font:14px/1.5 system-ui,sans-serif;color:#1c2733;max-width:1180px;margin:24px auto;padding:0 16px}
h1{font-size:22px;margin:0}h2{font-size:16px;margin:28px 0 8px}
.verdict{display:inline-block;padding:4px 10px;border-radius:4px;color:#fff;margin:10px 0}
.good{background:#2c7a4b}.warn{background:#b26a00}.bad{background:#b3261e}
table{border-collapse:collapse}td,th{padding:3px 10px;text-align:right;border-bottom:1px solid #e3e8ee}
td:first-child,th:first-child{text-align:left}tr.off td{background:#fff3e0}
svg{max-width:100%;height:auto;display:block}
figure{margin:16px 0}figcaption{font-weight:600;margin-bottom:4px}li{word-break:break-word}
details{margin:6px 0}summary{cursor:pointer}.faint{color:#66727f}
"""


def verdict(checked: Checked) -> tuple[str, str]:
    """``good``, ``warn`` or ``bad``, and a sentence."""
    if checked.broken:
        count = sum(finding.count for finding in checked.broken)
        return "bad", f"broken: {count} of its labels and pictures cannot be used"
    if len(checked.findings):
        kinds = ", ".join(f"{count} x {kind}" for kind, count in checked.findings.counts().items())
        return "warn", f"usable, with differences: {kinds}"
    if not checked.compared:
        return "good", "nothing is wrong; no counts were published to compare with"
    return "good", f"nothing is wrong, and all {len(checked.compared)} published numbers agree"


def summary(checked: Checked) -> str:
    """A few lines for the terminal."""
    counts, module = checked.counts, checked.module
    known = int(counts.known.sum())
    unknown = counts.frames * len(counts.known) - known
    lines = [
        f"dataset   {module.name} in {module.settings.root or 'its own files'}",
        f"faces     {counts.frames:,} of {len(counts.subjects):,} people",
        f"labels    {known:,} known, {unknown:,} unknown (masked)",
        f"pictures  {checked.pictures_read:,} read" if checked.sizes else "pictures  not read",
    ]
    if checked.compared:
        agree = sum(one.agrees for one in checked.compared)
        lines.append(f"counts    {agree} of {len(checked.compared)} published numbers agree")
    for kind, count in checked.findings.counts().items():
        first = next(finding.message for finding in checked.findings if finding.kind == kind)
        said = f": {_who_differs(checked)}" if kind == "count-differs" else f", the first: {first}"
        lines.append(f"{'ERROR' if kind in BROKEN else 'warning':<8}  {count:,} x {kind}{said}")
    return "\n".join([*lines, f"verdict   {verdict(checked)[1]}"])


def _who_differs(checked: Checked) -> str:
    """Published counts that differ, in one line for the terminal; there may be hundreds."""
    expected = checked.expected
    assert expected is not None
    places = {re.split(" (?:of|in) ", one.what)[-1] for one in checked.compared if not one.agrees}
    sequences = places & set(expected.sequences)
    people = places & {*expected.subjects, *checked.counts.subjects} - sequences
    return f"{len(people):,} people, {len(sequences):,} sequences differ: see the report"


def refuse_place(folder: Path) -> None:
    """Look before hours of reading whether the report can be written.

    Raises:
        DatasetError: the folder, or one above it, is a file or must not be written to.
    """
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        why = "may not be written to" if there.is_dir() else "is a file"
        raise DatasetError(f"the report cannot be written to {folder} ({there} {why}): give another --out")


def write_report(checked: Checked, folder: Path) -> Path:
    """Write ``report.html``, ``report.png`` and ``report.json``, each under another name first.

    Args:
        checked: what was found.
        folder: is made if it is missing.

    Returns:
        The page.
    """
    refuse_place(folder)
    folder.mkdir(parents=True, exist_ok=True)
    picture = BytesIO()
    as_png(checked).save(picture, "png", optimize=True)
    files = {"report.json": as_json(checked).encode(), "report.png": picture.getvalue()}
    for name, content in {**files, "report.html": as_html(checked).encode()}.items():
        waiting = folder / f".{name}.writing"
        waiting.write_bytes(content)
        waiting.replace(folder / name)
    return folder / "report.html"


def as_png(checked: Checked) -> Image.Image:
    """The summary and the plots on one page; lists and tables stand in the HTML alone."""
    plots = [*label_figures(checked), together_figure(checked), *people_figures(checked)]
    lines = (line if len(line) <= 180 else f"{line[:177]}..." for line in summary(checked).splitlines())
    return as_picture([f"{checked.module.name}: check", *lines], plots)


def as_json(checked: Checked) -> str:
    """All numbers and all findings."""
    counts = checked.counts
    codes = checked.module.coded_aus()
    told = {
        "dataset": checked.module.name,
        "root": str(checked.module.settings.root),
        "verdict": verdict(checked)[1],
        "frames": counts.frames,
        "subjects": counts.subjects,
        "known": dict(zip(codes, counts.known.tolist(), strict=True)),
        "positives": dict(zip(codes, counts.positives.tolist(), strict=True)),
        "levels": dict(zip(codes, counts.values.tolist(), strict=True)) if counts.values.size else {},
        "sizes": {f"{width}x{height}": count for (width, height), count in sorted(checked.sizes.items())},
        "compared": [[one.what, one.found, one.expected, one.agrees] for one in checked.compared],
        "findings": [[one.kind, one.where, one.message, one.count] for one in checked.findings],
    }
    return json.dumps(told, indent=1).replace("NaN", "null")


def as_html(checked: Checked) -> str:
    """The page; it loads nothing from anywhere."""
    module = checked.module
    tone, said = verdict(checked)
    parts = [
        f"<h1>{escape(module.name)}</h1>",
        f'<div class="faint">{escape(str(module.settings.root or "draws its own files"))}</div>',
        f'<div class="verdict {tone}">{escape(said)}</div>',
        *_numbers(checked),
        *_findings(checked),
        *_compared(checked),
        *_plots(checked),
        *_folds(checked.folds),
    ]
    head = f'<meta charset="utf-8"><title>{escape(module.name)}: check</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _numbers(checked: Checked) -> Iterator[str]:
    counts, module = checked.counts, checked.module
    rows = [
        ("labelled faces", f"{counts.frames:,}"),
        ("people", f"{len(counts.subjects):,}"),
        ("Action Units", f"{len(counts.known)}, {module.coded_scale()}"),
        ("pictures read", f"{checked.pictures_read:,}" if checked.sizes else "none (labels only)"),
    ]
    sizes = sorted(checked.sizes.items(), key=lambda item: -item[1])
    rows += [(f"pictures of {width} x {height}", f"{count:,}") for (width, height), count in sizes[:5]]
    if len(sizes) > 5:
        rows.append((f"pictures of {len(sizes) - 5} other sizes", f"{sum(c for _, c in sizes[5:]):,}"))
    yield _table(("", ""), rows)


def _findings(checked: Checked) -> Iterator[str]:
    for kind, count in checked.findings.counts().items():
        found = [finding for finding in checked.findings if finding.kind == kind]
        items = "".join(f"<li>{escape(finding.message)}</li>" for finding in found[:SHOWN])
        more = f"<li>and {len(found) - SHOWN} more in report.json</li>" if len(found) > SHOWN else ""
        opened = " open" if kind in BROKEN else ""
        word = "error" if kind in BROKEN else "warning"
        yield f"<details{opened}><summary>{word}: {count:,} x {escape(kind)}</summary>"
        yield f"<ul>{items}{more}</ul></details>"


def _compared(checked: Checked) -> Iterator[str]:
    if checked.expected is None or not checked.compared:
        return
    agree = sum(one.agrees for one in checked.compared)
    yield f"<h2>Published counts</h2><p>{agree} of {len(checked.compared)} agree. "
    yield f"Source: {escape(checked.expected.source)}.</p>"
    names = [name for name, frames in checked.expected.editions.items() if frames == checked.counts.frames]
    if names:
        yield f"<p>The number of frames is that of another edition: {escape(', '.join(names))}.</p>"
    # The dataset and its parts always; the rest only where it differs, folded up: the page stays one page.
    whole = {f"frames of {place}" for place in ("the dataset", *checked.expected.parts)}
    first = [one for one in checked.compared if one.what in whole or "the dataset" in one.what]
    yield _numbers_beside(first)
    rest = [one for one in checked.compared if not one.agrees and one not in first]
    if rest:
        yield f"<details><summary>{len(rest):,} more that differ: people, sequences, weights</summary>"
        yield _numbers_beside(rest[:SHOWN])
        yield f"<p>and {len(rest) - SHOWN:,} more in report.json</p>" if len(rest) > SHOWN else ""
        yield "</details>"


def _numbers_beside(compared: Sequence[Compared]) -> str:
    rows = [(one.what, written(one.found), written(one.expected)) for one in compared]
    return _table(("", "here", "published"), rows, [not one.agrees for one in compared])


def _plots(checked: Checked) -> Iterator[str]:
    yield "<h2>Labels</h2>"
    yield from map(as_svg, label_figures(checked))
    levels = "".join(map(as_svg, level_figures(checked)))
    yield f"<details><summary>levels one by one</summary>{levels}</details>" if levels else ""
    yield as_svg(together_figure(checked))
    yield "<h2>People</h2>"
    yield from map(as_svg, people_figures(checked))


def _folds(folds: Sequence[PartSize]) -> Iterator[str]:
    if not folds:
        return
    yield "<h2>Protocols</h2>"
    rows = []
    for protocol in dict.fromkeys(one.protocol for one in folds):
        these = [one for one in folds if one.protocol == protocol]
        for one in these[:FOLDS_SHOWN]:
            cells = (f"{p:,} / {f:,}" for p, f in zip(one.people, one.faces, strict=True))
            rows.append((f"{protocol}, fold {one.fold}", *cells))
        if len(these) > FOLDS_SHOWN:
            rows.append((f"{protocol}, {len(these) - FOLDS_SHOWN} more folds", "", "", ""))
    yield _table(("people / faces", "train", "validation", "test"), rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], off: Sequence[bool] = ()) -> str:
    """A table; rows that are `off` stand out."""
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in header) + "</tr>"] if any(header) else []
    for number, row in enumerate(rows):
        mark = ' class="off"' if number < len(off) and off[number] else ""
        lines.append(f"<tr{mark}>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>")
    return f"<table>{''.join(lines)}</table>"
