"""The size and manners of the house: small files, short functions, all annotated, no swallowed errors."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Callable

import pytest

from tests.source_tree import REPOSITORY, below, load_tree

MEDIAN_LINES, MOST_LINES, MOST_FUNCTION_LINES = 150, 400, 60
# These speak to a terminal; everything else logs or returns.
MAY_PRINT = (
    "aullava.cli",
    "aullava.dataset_findings",
    "aullava.dataset_verbs",
    "aullava.demo",
    "aullava.jobs",
    "aullava.prediction",
    "aullava.launch",
    "aullava.batch_size",
    "aullava.kept_features",
    "aullava.tiny_backbone",
    "aullava.crossval",
    "aullava.report",
)

TREE = load_tree()
OTHERS = [path for folder in ("tests", "benchmarks") for path in sorted((REPOSITORY / folder).rglob("*.py"))]
SOURCES = {str(module.path): module.text for module in TREE.values()} | {
    str(path.relative_to(REPOSITORY)): path.read_text(encoding="utf-8") for path in OTHERS
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(tree: ast.AST) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def _too_long(tree: ast.AST) -> list[str]:
    """Functions above the limit, docstring included, decorators not."""
    lengths = [(node, (node.end_lineno or node.lineno) - node.lineno + 1) for node in _functions(tree)]
    return [f"{node.lineno} {node.name} has {n} lines" for node, n in lengths if n > MOST_FUNCTION_LINES]


def _unannotated(tree: ast.AST) -> list[str]:
    """Arguments and return values without annotation; the first argument of a method needs none."""
    methods = {
        item
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, Function)
        and not any(ast.unparse(d) == "staticmethod" for d in item.decorator_list)
    }
    found = []
    for node in _functions(tree):
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args][1 if node in methods else 0 :]
        stars = [star for star in (arguments.vararg, arguments.kwarg) if star is not None]
        missing = [item.arg for item in (*named, *arguments.kwonlyargs, *stars) if item.annotation is None]
        found += [f"{node.lineno} {node.name}({name}) is not annotated" for name in missing]
        found += [f"{node.lineno} {node.name} returns what?"] if node.returns is None else []
    return found


def _swallowed(tree: ast.AST) -> list[str]:
    """Bare `except:`, and handlers of everything that do nothing."""
    return [
        f"{node.lineno} swallows errors"
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or (
                ast.unparse(node.type) in ("Exception", "BaseException")
                and all(isinstance(line, ast.Pass) for line in node.body)
            )
        )
    ]


def _prints(tree: ast.AST) -> list[str]:
    return [
        f"{node.lineno} prints"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("print", "sys.stdout.write", "sys.stderr.write")
    ]


def _everywhere(check: Callable[[ast.AST], list[str]], sources: dict[str, str]) -> list[str]:
    return [f"{name}:{line}" for name, text in sources.items() for line in check(ast.parse(text))]


def test_files_are_small() -> None:
    lengths = {name: len(text.splitlines()) for name, text in SOURCES.items()}
    rooms = [len(module.text.splitlines()) for module in TREE.values() if not module.is_package]
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}
    assert statistics.median(rooms) <= MEDIAN_LINES


def test_functions_are_short() -> None:
    assert _everywhere(_too_long, SOURCES) == []


def test_every_argument_and_return_value_is_annotated() -> None:
    assert _everywhere(_unannotated, SOURCES) == []


def test_no_error_is_swallowed() -> None:
    assert _everywhere(_swallowed, SOURCES) == []


def test_only_what_speaks_to_a_terminal_prints() -> None:
    silent = {
        str(m.path): m.text for m in TREE.values() if not any(below(m.name, loud) for loud in MAY_PRINT)
    }
    assert _everywhere(_prints, silent) == []


def test_package_files_hold_only_a_docstring() -> None:
    """So importing a room never drags in its neighbours, and a name has one place to be imported from."""
    assert [
        str(module.path)
        for module in TREE.values()
        if module.is_package and not (ast.get_docstring(module.tree) and len(module.tree.body) == 1)
    ] == []


def test_every_folder_of_modules_is_a_package() -> None:
    """A folder without `__init__.py` is left out of the installed package."""
    folders = {(REPOSITORY / module.path).parent for module in TREE.values()}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize(
    ("check", "bad"),
    [
        (_too_long, "def f() -> None:\n" + "    x = 1\n" * 60),
        (_unannotated, "def f(a) -> None: ..."),
        (_unannotated, "def f(*a, b: int) -> None: ..."),
        (_unannotated, "class A:\n    def f(self): ..."),
        (_unannotated, "class A:\n    @staticmethod\n    def f(a) -> None: ..."),
        (_swallowed, "try:\n    x\nexcept:\n    raise"),
        (_swallowed, "try:\n    x\nexcept Exception:\n    pass"),
        (_prints, "def f() -> None:\n    print(1)"),
    ],
)
def test_each_check_finds_what_it_is_for(check: Callable[[ast.AST], list[str]], bad: str) -> None:
    assert len(check(ast.parse(bad))) == 1


def test_honest_code_passes_every_check() -> None:
    good = "class A:\n    def f(self, a: int, *b: str) -> None:\n        try:\n            g(a)\n"
    good += "        except ValueError:\n            return\n"
    checks = (_too_long, _unannotated, _swallowed, _prints)
    assert [line for check in checks for line in check(ast.parse(good))] == []
