"""The model card of an exported folder: what it is made of, what it may be used for, how well it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import yaml

FREE: Final = ("apache-2.0", "mit", "bsd-3-clause", "cc0-1.0")
"""Licences of base models that ask for no more than their text to be kept."""
RESEARCH: Final = "research only"
"""How the licence of a dataset begins that allows nothing else."""
COLUMNS: Final = {
    "support": "coded",
    "positives": "present",
    "f1": "F1",
    "f1_at_threshold": "F1 at its threshold",
    "mae": "MAE",
    "pcc": "PCC",
    "icc": "ICC(3,1)",
}
"""Scores of one Action Unit that the card shows, where there are some, and their headings."""

Scores = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class Base:
    """A model that this one stands on: its role, its name, the hub's word for its licence."""

    role: str
    name: str
    licence: str


@dataclass(frozen=True, slots=True)
class Data:
    """A dataset that it learned from.

    Attributes:
        name: registered name.
        licence: in one line.
        protocol: name, version, fold and hash of the split of people.
        fingerprint: of labels, codes, scale and people.
        aus: the codes learned.
        scores: code -> score -> value, of the people named in `scored`.
        macro: score -> its mean over the codes with support.
    """

    name: str
    licence: str
    protocol: str
    fingerprint: str
    aus: tuple[str, ...]
    scores: Scores
    macro: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a card says.

    Attributes:
        title: name of the experiment.
        bases: vision encoder and language model.
        trained: what was trained, in words.
        data: the datasets.
        scored: "test" or "val": whose faces the scores are of; "": there are none.
        dtype: of the weights.
        steps: of the training.
        versions: program -> version, and the machine.
        verified: lines of the comparison with the run; none if it was not made.
    """

    title: str
    bases: Sequence[Base]
    trained: str
    data: Sequence[Data]
    scored: str
    dtype: str
    steps: int
    versions: Mapping[str, str]
    verified: Sequence[str]


def chain(facts: Facts) -> list[str]:
    """What follows for these weights from the licences of what they were made from."""
    said = []
    research = [one.name for one in facts.data if one.licence.startswith(RESEARCH)]
    if research:
        said.append(f"**Research only**: the weights were trained on {', '.join(research)}.")
    for base in facts.bases:
        if base.licence == "unknown":
            said.append(f"The licence of `{base.name}` is not known here: look it up before you share this.")
        elif base.licence not in FREE:
            said.append(f"The terms of `{base.name}` ({base.licence}) hold for these weights too.")
    return said or ["No part asks for more than that its licence text is kept."]


def model_card(facts: Facts) -> str:
    """The card as Markdown with the hub's front matter."""
    free = {base.licence for base in facts.bases} <= set(FREE)
    open_data = not any(one.licence.startswith(RESEARCH) for one in facts.data)
    front = {
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "license": "apache-2.0" if free and open_data else "other",
        "base_model": [base.name for base in facts.bases if "/" in base.name],
        "tags": ["facial-action-units", "facs", "llava"],
    }
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n# {facts.title}\n",
        _INTRODUCTION,
        _made_of(facts),
        "## Licence\n\n" + "\n".join(f"- {line}" for line in chain(facts)) + "\n",
        _results(facts),
        _USE,
        _LIMITS,
        _computed(facts),
    ]
    return "\n".join(parts)


def _made_of(facts: Facts) -> str:
    rows = ["## What it is made of", "", "| part | name | licence |", "|---|---|---|"]
    rows += [f"| {base.role} (frozen) | `{base.name}` | {base.licence} |" for base in facts.bases]
    rows += [f"| trained | {facts.trained} | see below |", ""]
    rows += ["| dataset | Action Units | protocol | labels, people | licence |", "|---|---|---|---|---|"]
    rows += [
        f"| {one.name} | {' '.join(one.aus)} | {one.protocol} | `{one.fingerprint}` | {one.licence} |"
        for one in facts.data
    ]
    return "\n".join([*rows, ""])


def _results(facts: Facts) -> str:
    if not facts.scored:
        return "## Results\n\nNone: the run was neither validated nor tested before the export.\n"
    people = "test people, who took no part in training or selection"
    people = people if facts.scored == "test" else "validation people; it was not tested"
    parts = ["## Results", "", f"Of the run, on {people}. `-`: no coded face shows it.", ""]
    for one in facts.data:
        columns = [name for name in COLUMNS if any(name in scores for scores in one.scores.values())]
        if not columns:
            continue
        parts += [f"### {one.name}", "", f"| AU | {' | '.join(COLUMNS[name] for name in columns)} |"]
        parts += ["|---|" + "---:|" * len(columns)]
        rows = [*one.scores.items(), ("mean", one.macro)]
        for code, scores in rows:
            parts.append(f"| {code} | {' | '.join(_cell(name, scores.get(name)) for name in columns)} |")
        parts.append("")
    return "\n".join(parts)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if name in ("support", "positives") else f"{value:.3f}"


def _computed(facts: Facts) -> str:
    steps = f"{facts.steps} optimiser steps; weights written as {facts.dtype}."
    rows = ["## How it was computed", "", steps, ""]
    rows += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.versions.items()), ""]
    if not facts.verified:
        return "\n".join([*rows, "This folder was **not** compared with the run it came from.", ""])
    rows += ["Loaded by plain transformers and compared with the run (`aullava export --verify`):", ""]
    return "\n".join([*rows, "```", *facts.verified, "```", ""])


_INTRODUCTION: Final = """\
A vision-language model that reads facial Action Units (AUs) off the picture of one face. The question
chooses the format of the answer: present or absent, levels 0-5, or intensities 0.00-1.00.
`questions.json` holds the questions it was trained on, word by word; other wordings were never seen. The
chat template puts the image where training had it.
"""
_USE: Final = """\
## Intended use

Research on facial behaviour: coding videos and pictures of people who agreed to it, as an aid to
certified FACS coders whose work it does not replace, and as a baseline in benchmarks. An Action Unit is a
movement of the face. It is not an emotion, and no emotion, intention, honesty, health or ability follows
from it.

## Out of scope

- Inferring emotions of people at work or in education: prohibited in the European Union by Article
  5(1)(f) of the AI Act (Regulation (EU) 2024/1689), except for medical or safety reasons.
- Decisions about people: hiring, grading, policing, border control, insurance, credit, diagnosis.
- Identifying people, or sorting them by origin, sex, age or other protected traits.
- Watching people who do not know of it.
"""
_LIMITS: Final = """\
## Known limits

- The picture must show one face as the training crops do. Where no face is, it still answers.
- Scores hold for people and recordings like those of the datasets above. Across datasets they fall,
  usually by a lot, and by how much for whom (age, skin, sex, glasses, beards) was not measured here.
- An answer carries no confidence. Read it strictly: one that does not follow the format is no answer, not
  "absent".
- Rare Action Units have few positive faces: see the column "present" before you believe a score.
"""
