"""The schema explains itself, and its words are those of the rooms they belong to."""

from __future__ import annotations

import ast
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from aullava.config import schema
from aullava.config.limits import walk
from aullava.config.schema import Config
from aullava.config.words import hint, likeness, nearest


def _choices(key: str) -> set[str]:
    found = {".".join(path): limits for path, _, limits in walk(Config())}
    return set(found[key].words)


def test_every_field_has_an_explanation() -> None:
    tree = ast.parse(Path(schema.__file__).read_text(encoding="utf-8"))
    silent = []
    for node in (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name != "Vocabulary"):
        assert ast.get_docstring(node)
        following = dict(zip(node.body, node.body[1:], strict=False))
        for field in (item for item in node.body if isinstance(item, ast.AnnAssign)):
            after = following.get(field)
            explained = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            section = isinstance(field.annotation, ast.Name) and field.annotation.id.endswith("Config")
            if not explained and not section:
                silent.append(f"{node.name}.{ast.unparse(field.target)}")
    assert silent == []


def test_every_default_keeps_its_own_limits() -> None:
    complaints = [
        f"{'.'.join(path)} {limits.complaint(value)}"
        for path, value, limits in walk(Config())
        if value != "???" and limits.complaint(value) is not None
    ]
    assert complaints == []
    assert len(list(walk(Config()))) > 35


def test_the_words_of_the_text_room_are_its_enums() -> None:
    from aullava.text.grammar import AnswerForm
    from aullava.text.layout import Layout
    from aullava.text.question import Order

    assert _choices("text.order") == {order.value for order in Order}
    assert _choices("answer.form") == {form.value for form in AnswerForm}
    assert _choices("text.layout") == {layout.value for layout in Layout}


def test_the_formats_are_the_scales_of_the_datasets() -> None:
    from aullava.config.schema import DatasetConfig, LossWeightConfig
    from datamodules.action_units import Scale

    assert {field.name for field in fields(LossWeightConfig)} == set(Scale)
    (formats,) = [limits for path, _, limits in walk(DatasetConfig()) if path == ("formats",)]
    assert set(formats.words) == set(Scale)
    assert formats.complaint(["level", "presense"]) == "has no choice 'presense', did you mean 'presence'?"
    assert formats.complaint(["level", "level"]) == "names 'level' twice"
    assert formats.complaint(["level", "presence"]) is None


def test_sections_are_dataclasses_and_only_max_steps_has_no_default() -> None:
    assert all(is_dataclass(getattr(Config(), field.name)) for field in fields(Config)[4:])
    assert [".".join(path) for path, value, _ in walk(Config()) if value == "???"] == ["trainer.max_steps"]


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("max_stepz", ["max_steps", "accumulate"], "did you mean 'max_steps'?"),
        ("MAX_STEPS", ["max_steps", "accumulate"], "did you mean 'max_steps'?"),
        ("bp4d", ["disfa", "synthetic_bp4d"], "did you mean 'synthetic_bp4d'?"),
        ("qqq", ["a", "b"], "it can be a, b"),
        ("qqq", [], "nothing can stand here"),
        ("AU77", [f"AU{number}" for number in range(30)], "did you mean 'AU7'?"),
    ],
)
def test_a_hint_is_a_guess_or_the_whole_short_list(word: str, known: list[str], said: str) -> None:
    assert hint(word, known) == said


def test_likeness_is_one_for_equal_words_only() -> None:
    assert likeness("AU1", "au1") == 1.0
    assert likeness("bp4d", "bp4d_plus") < 1.0
    assert nearest("x", []) is None
