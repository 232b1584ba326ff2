"""Per-AU tables: rows are models and baselines, columns are Action Units and their average."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

WIDTH: Final = 100
LONGEST_NAME: Final = 32
AVERAGE: Final = "avg"
NO_SUPPORT: Final = "-"

STYLES: Final = MappingProxyType(
    {"f1": ("F1 x 100", 100, 1), "mae": ("MAE", 1, 3), "pcc": ("PCC", 1, 3), "icc": ("ICC(3,1)", 1, 3)}
)
"""Metric -> its title, the factor it is printed with, its decimals; F1 as the field's papers print it."""

Scores = Mapping[str, float]


def text_table(
    rows: Mapping[str, Scores],
    aus: Sequence[str],
    metric: str,
    width: int = WIDTH,
    rules: Collection[str] = (),
    supports: bool = False,
) -> str:
    """A table for the terminal, in blocks one below the other where the Action Units do not fit in one.

    Args:
        rows: names of models and baselines -> scores as `ScoreBook.compute` gives them. The support is read
            off the first row; a row whose answers could not all be read is named below the table.
        aus: codes of the Action Units, in order.
        metric: f1, mae, pcc or icc.
        width: columns of the terminal, 60 or more.
        rules: names of rows that begin another group: a line is drawn above them.
        supports: whether each row is of other faces and has its own support below it.

    Returns:
        Lines of at most `width` characters, the last one ended. "-" stands where there is no support.

    Raises:
        ValueError: no rows.
        KeyError: an unknown metric, or a row without one of its scores.

    Example:
        >>> scores = {"f1/AU1": 0.5, "f1/AU12": 0.9, "f1_macro": 0.7}
        >>> scores |= {"positives/AU1": 8.0, "positives/AU12": 20.0}
        >>> print(text_table({"AU-LLaVA": scores}, ["AU1", "AU12"], "f1"), end="")
        F1 x 100   AU1 AU12 |  avg
        --------------------------
        AU-LLaVA  50.0 90.0 | 70.0
        positives    8   20 |
    """
    body = [(_short(name), cells) for name, cells in _body(rows, aus, metric, supports)]
    title = STYLES[metric][0]
    names = max(len(title), *(len(name) for name, _ in body))
    column = 1 + max(
        len(text) for cells in ([*aus, AVERAGE], *(cells for _, cells in body)) for text in cells
    )
    fitting = max(1, (width - names - len(" |") - column) // column)
    size = math.ceil(len(aus) / math.ceil(len(aus) / fitting))
    blocks = []
    for start in range(0, len(aus), size):
        end = min(start + size, len(aus))
        lines = [_line(title, [*aus, AVERAGE], start, end, names, column)]
        rule = "-" * len(lines[0])
        lines += [rule]
        for name, cells in body:
            lines += [rule] * (name in rules) + [_line(name, cells, start, end, names, column)]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n" + "".join(f"{note}\n" for note in _notes(rows))


def markdown_table(rows: Mapping[str, Scores], aus: Sequence[str], metric: str) -> str:
    """The same table in Markdown, in one piece.

    Args:
        rows: as for `text_table`.
        aus: codes of the Action Units, in order.
        metric: f1, mae, pcc or icc.

    Returns:
        Lines, the last one ended.

    Raises:
        ValueError: no rows.
        KeyError: an unknown metric, or a row without one of its scores.
    """
    lines = [[STYLES[metric][0], *aus, AVERAGE], ["---", *["---:"] * (len(aus) + 1)]]
    lines += [[name.replace("|", "\\|"), *cells] for name, cells in _body(rows, aus, metric)]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return table + "".join(f"\n{note}\n" for note in _notes(rows))


def latex_table(
    rows: Mapping[str, Scores], aus: Sequence[str], metric: str, rules: Collection[str] = ()
) -> str:
    r"""The same table for a paper; needs the package booktabs.

    Args:
        rows: as for `text_table`.
        aus: codes of the Action Units, in order; printed without "AU".
        metric: f1, mae, pcc or icc.
        rules: names of rows that begin another group.

    Returns:
        A `tabular`, the last line ended.

    Raises:
        ValueError: no rows.
        KeyError: an unknown metric, or a row without one of its scores.
    """
    head = [STYLES[metric][0], *(code.removeprefix("AU") for code in aus), "Avg."]
    lines = [[name, *cells] for name, cells in _body(rows, aus, metric)]
    indented = {name: rf"\quad {latex_text(name.strip())}" for name in rows if name.startswith(" ")}
    written = [rf"\begin{{tabular}}{{l{'r' * len(aus)}|r}}", r"\toprule"]
    for at, cells in enumerate([head, *lines]):
        above = at in (1, len(lines)) or cells[0] in rules
        written += [r"\midrule"] * above + [
            " & ".join([indented.get(cells[0], latex_text(cells[0])), *map(latex_text, cells[1:])]) + r" \\"
        ]
    notes = "".join(f"\n{latex_text(note)}\n" for note in _notes(rows))
    return "\n".join([*written, r"\bottomrule", r"\end{tabular}"]) + "\n" + notes


def latex_text(text: str) -> str:
    r"""A text with what LaTeX would read as commands written out: ``A_1 & 50 %`` as ``A\_1 \& 50 \%``."""
    plain = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    plain |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    special = {letter: f"\\{letter}" for letter in "&%$#_{}"}
    return "".join((plain | special).get(letter, letter) for letter in text)


def _body(
    rows: Mapping[str, Scores], aus: Sequence[str], metric: str, supports: bool = False
) -> Iterator[tuple[str, list[str]]]:
    if not rows:
        raise ValueError("Expected one row of scores or more, but got none")
    _, factor, decimals = STYLES[metric]
    for name, scores in rows.items():
        values = [*(scores[f"{metric}/{code}"] for code in aus), scores[f"{metric}_macro"]]
        yield name, [NO_SUPPORT if math.isnan(one) else f"{one * factor:.{decimals}f}" for one in values]
        if supports:
            yield _support(scores, aus, metric)
    if not supports:
        yield _support(next(iter(rows.values())), aus, metric)


def _support(scores: Scores, aus: Sequence[str], metric: str) -> tuple[str, list[str]]:
    support = "positives" if metric == "f1" else "support"
    return support, [*(f"{scores[f'{support}/{code}']:.0f}" for code in aus), ""]


def _notes(rows: Mapping[str, Scores]) -> Iterator[str]:
    for name, scores in rows.items():
        if scores.get("invalid_rate", 0) > 0:
            share = f"{scores['invalid_rate']:.1%}"
            yield f"{_short(name)}: {share} of the answers could not be read and are left out."


def _line(name: str, cells: Sequence[str], start: int, end: int, names: int, column: int) -> str:
    """One line of the block of columns start..end; the average stands in the last block."""
    line = name.ljust(names) + "".join(text.rjust(column) for text in cells[start:end])
    return f"{line} |{cells[-1].rjust(column)}".rstrip() if end == len(cells) - 1 else line


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."
