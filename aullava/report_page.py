"""The page of a report: style, headings, and the sections put together. It loads nothing from anywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from html import escape

from aullava.report_faces import Shown, faces
from aullava.report_run import Run
from aullava.report_sections import (
    COLUMNS,
    TITLES,
    calibration,
    curves,
    groups,
    number,
    per_au,
    table,
    together,
)
from aullava.report_style import STYLE
from datamodules.action_units import Scale


def page(runs: Sequence[Run]) -> str:
    """The whole page, in one string."""
    title = "AU-LLaVA: " + ", ".join(run.name for run in runs)
    body = "".join([*_top(runs), *(part for run in runs for part in _about(run))])
    head = f'<meta charset="utf-8"><title>{escape(title)}</title>'
    icon = '<link rel="icon" href="data:,">'  # without one a browser asks the server for it
    return (
        f'<!doctype html><html lang="en"><head>{head}{icon}<style>{STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>\n"
    )


def _top(runs: Sequence[Run]) -> Iterator[str]:
    yield "<h1>AU-LLaVA: results</h1>"
    yield '<p class="s">Tested on people that were never learned from. The answers as written, unless '
    yield "a score says “at threshold”.</p>"
    if len(runs) > 1:
        yield f"<section><h2>Runs beside each other</h2>{_beside(runs)}</section>"
    cross = cross_table(runs)
    if cross:
        yield f"<section><h2>On datasets that the runs never saw</h2>{cross}</section>"


def _beside(runs: Sequence[Run]) -> str:
    """Headline scores of all runs, only where they were reached on the same terms."""
    parts = []
    for name in dict.fromkeys(name for run in runs for name in run.tests):
        having = [run for run in runs if name in run.tests]
        columns = COLUMNS[having[0].tests[name].terms.scale][:4]
        rows = []
        for run in having:
            scores = run.scores(f"test/{name}/")
            mark = f'<span class="chip">{run.tests[name].terms.fingerprint()}</span>'
            rows.append([escape(run.name), mark, *(number(scores.get(f"{one}_macro")) for one in columns)])
        apart = having[0].tests[name].terms.differences(having[-1].tests[name].terms)
        prints = {run.tests[name].terms.fingerprint() for run in having}
        said = (
            ""
            if len(prints) == 1
            else f"<p><b>Not comparable</b>: {escape('; '.join(apart) or 'other terms')}</p>"
        )
        head = ["run", "fingerprint", *(TITLES[one] for one in columns)]
        parts.append(f"<h3>{escape(name)}</h3>{said}{table(head, rows)}")
    return "".join(parts)


def cross_table(runs: Sequence[Run]) -> str:
    """Rows: what a run was trained on; columns: what it was tested on; empty without such tests."""
    tested = list(dict.fromkeys(name for run in runs for name in run.elsewhere))
    if not tested:
        return ""
    rows = []
    for run in runs:
        trained = ", ".join(run.config.data.datasets)
        cells = []
        for name in tested:
            scores = run.scores(f"cross/{name}/")
            if not scores:
                cells += ["", ""]
                continue
            units = len(run.elsewhere[name].aus) if name in run.elsewhere else 0
            metric = COLUMNS[run.elsewhere[name].terms.scale][0] if units else "f1"
            floor = scores.get("always_present_f1_macro", math.nan)
            cells += [
                f"{number(scores.get(f'{metric}_macro'))} <span class='s'>{units} units</span>",
                number(floor),
            ]
        rows.append([escape(run.name), escape(trained), *cells])
    head = ["run", "trained on"]
    for name in tested:
        head += [f"{escape(name)}: mean", "always present"]
    return table(head, rows)


def _about(run: Run) -> Iterator[str]:
    yield f"<section><h2>{escape(run.name)}</h2>{''.join(_prints(run))}{_cards(run)}"
    yield f"<h3>While it learned</h3>{curves(run)}</section>"
    for name, answers in run.tests.items():
        terms = answers.terms
        yield f"<section><h2>{escape(name)}</h2><p class='s'>{terms.scale}; {len(answers):,} faces of "
        yield f"{answers.people()} people; fold {answers.fold} of {escape(terms.protocol)}; "
        yield f"fingerprint {terms.fingerprint()}</p>{per_au(run, name, answers)}"
        yield calibration(answers, run.calibration.get(name, {})) + together(answers) + "</section>"
    found = "".join(groups(run))
    if found:
        yield f"<section><h2>Groups</h2>{found}</section>"
    yield f"<section><h2>Faces</h2>{''.join(_faces(run))}</section>"
    yield f"<section><h2>Config</h2>{''.join(_texts(run))}</section>"


def _prints(run: Run) -> Iterator[str]:
    if run.weights:
        yield f'<p class="s">{escape(run.weights)}</p>'
    for key, value in run.prints.items():
        if isinstance(value, str | int):
            yield f'<span class="chip">{escape(key)} {escape(str(value))}</span>'


def _cards(run: Run) -> str:
    """The headline of each dataset, beside what a constant answer reaches."""
    cards = []
    for name, answers in run.tests.items():
        scores, scale = run.scores(f"test/{name}/"), answers.terms.scale
        metric = "pcc" if scale is Scale.INTENSITY else "f1"
        beside = []
        if "thresholded_f1_macro" in scores:
            beside.append(f"at threshold {number(scores['thresholded_f1_macro'])}")
        floor = run.scores(f"baseline/always_present/{name}/").get("f1_macro")
        if floor is not None:
            beside.append(f"always present {number(floor)}")
        probe = run.scores(f"baseline/linear_probe/{name}/").get(f"{metric}_macro")
        if probe is not None:
            beside.append(f"linear probe {number(probe)}")
        beside.append(f"unreadable {scores['invalid_rate']:.1%}")
        cards.append(
            f'<div class="card"><span class="s">{escape(name)}: {TITLES[metric]}</span>'
            f"<b>{number(scores.get(f'{metric}_macro'))}</b>"
            f"<span class='s'>{'<br>'.join(beside)}</span></div>"
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def _faces(run: Run) -> Iterator[str]:
    yield '<p class="s">Below each face: the answer for the label. <b class="mis">Missed</b>, '
    yield '<b class="too">too much</b>.</p>'
    for name, found in faces(run):
        if isinstance(found, str):
            yield f"<h3>{escape(name)}</h3><p>{escape(found)}</p>"
            continue
        for title, shown in found.items():
            yield f'<h3>{escape(name)}: {title}</h3><div class="faces">{"".join(map(_face, shown))}</div>'


def _face(one: Shown) -> str:
    said = "<br>".join(one.lines)
    name = escape(one.name)
    picture = f'<img src="{one.picture}" alt="{name}"><span class="id">{name}</span>'
    return f'<div class="face">{picture}<br>{said}</div>'


def _texts(run: Run) -> Iterator[str]:
    for name, text in run.texts.items():
        shown = json.dumps(json.loads(text), indent=1) if name.endswith(".json") and text else text
        if shown:
            yield f"<details><summary>{escape(name)}</summary><pre>{escape(shown)}</pre></details>"
    yield "<details><summary>fingerprint.json</summary>"
    yield f"<pre>{escape(json.dumps(run.prints, indent=1))}</pre></details>"
